# plot: the picture, an SVG that looks right on light and on dark.
#
# in:  normals.tsv     day-of-year  lowest-low  average-low  average-high  highest-high
#      year-*.tsv      year  day-of-year  high  low  rain-so-far
# -v highlight=YEAR is drawn in front; -v window=DAYS is only for the legend.
#
# Above: every day from its low to its high, before the range of all years and the average; what sticks out of the
# average is red or blue. Below: the rain fallen since January, a line for each year.

BEGIN {
    FS = "\t"
    month_count = split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", month_name, " ")
    split("31 29 31 30 31 30 31 31 30 31 30 31", length_of, " ")
    split("January February March April May June July August September October November December", long_name, " ")

    width = 960; height = 760
    left = 64; right = 828         # the plots, both
    warm_top = 148; warm_end = 440 # temperature
    rain_top = 516; rain_end = 700 # rain
}

# A file is known by its number of fields and told apart by its year.
NF == 5 && FILENAME ~ /normals/ {
    lowest[$1] = $2; mean_low[$1] = $3; mean_high[$1] = $4; highest[$1] = $5
    if (NR == 1 || $2 < coldest) coldest = $2 + 0
    if (NR == 1 || $5 > hottest) hottest = $5 + 0
    next
}

{
    if (!($1 in total)) year[++years] = $1
    has[$1, $2] = 1
    high[$1, $2] = $3 + 0; low[$1, $2] = $4 + 0; rain[$1, $2] = $5 + 0
    total[$1] = $5 + 0
    last_day[$1] = $2
    if ($5 > wettest) wettest = $5 + 0
}

function x(day) { return left + (day - 0.5) * (right - left) / 366 }
function y_temp(t) { return warm_end - (t - t_min) * (warm_end - warm_top) / (t_max - t_min) }
function y_rain(r) { return rain_end - r * (rain_end - rain_top) / r_max }
function floor(v,    i) { i = int(v); return i > v ? i - 1 : i }

function date(day,    m) {
    for (m = 1; day > length_of[m]; m++) day -= length_of[m]
    return day " " long_name[m]
}

function text(class, at_x, at_y, what) {
    printf "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, at_x, at_y, what
}

function line(class, x1, y1, x2, y2) {
    printf "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2
}

# A filled band between two series of the normals.
function band(class, lower, upper,    d) {
    printf "<path class=\"%s\" d=\"M", class
    for (d = 1; d <= 366; d++) printf "%.1f %.1f ", x(d), y_temp(upper[d])
    for (d = 366; d >= 1; d--) printf "%.1f %.1f ", x(d), y_temp(lower[d])
    print "z\"/>"
}

# One stroke for each day of the highlighted year, from one temperature to another, where there is anything.
function strokes(class, part,    d, from, to) {
    printf "<path class=\"%s\" d=\"", class
    for (d = 1; d <= 366; d++) {
        if (!((highlight, d) in has)) continue
        from = low[highlight, d]; to = high[highlight, d]
        if (part == "above" && from < mean_high[d]) from = mean_high[d]
        if (part == "below" && to > mean_low[d]) to = mean_low[d]
        if (part == "between") {
            if (from < mean_low[d]) from = mean_low[d]
            if (to > mean_high[d]) to = mean_high[d]
        }
        if (to > from) printf "M%.1f %.1fV%.1f", x(d), y_temp(from), y_temp(to)
    }
    print "\"/>"
}

function months(top, end,    m, day) {
    day = 1
    for (m = 1; m <= month_count; m++) {
        if (m > 1) line("month", x(day) - 1, top, x(day) - 1, end)
        text("tick middle", x(day + length_of[m] / 2), end + 20, month_name[m])
        day += length_of[m]
    }
}

function key(at_x, class, label) {
    printf "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" rx=\"2\"/>\n", class, at_x, 98
    text("small", at_x + 18, 108, label)
}

END {
    if (!(highlight in total)) {
        known = ""
        for (i = 1; i <= years; i++) known = known " " year[i]
        print "no year " highlight " to highlight; there are" known > "/dev/stderr"
        exit 1
    }
    t_min = 10 * floor(coldest / 10); t_max = -10 * floor(-hottest / 10)
    r_max = -250 * floor(-wettest / 250)

    for (d = 1; d <= 366; d++) {
        if (!((highlight, d) in has)) continue
        if (high[highlight, d] > mean_high[d]) warmer++
        if (low[highlight, d] < mean_low[d]) colder++
        if (!peak || high[highlight, d] > high[highlight, peak]) peak = d
        if (!dip || low[highlight, d] < low[highlight, dip]) dip = d
    }

    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-labelledby=\"title desc\">\n", width, height, width, height
    printf "<title id=\"title\">The weather of Seattle in %s</title>\n", highlight
    printf "<desc id=\"desc\">Above, the temperature of every day of %s against the years %s to %s. Below, the rain fallen since January in each of these years.</desc>\n", highlight, year[1], year[years]
    # Every colour is written out twice instead of once as a custom property, which not every renderer knows.
    print "<style>"
    print "text { font-family: system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif; font-size: 13px; fill: #52514e }"
    print ".page { fill: #fcfcfb } .heading { font-size: 22px; font-weight: 600; fill: #0b0b0b } .panel { font-weight: 600; fill: #0b0b0b }"
    print ".small, .tick { font-size: 12px } .middle { text-anchor: middle } .end { text-anchor: end } .note, .front-label { fill: #0b0b0b; font-weight: 600 }"
    print ".grid { stroke: #e1e0d9 } .month { stroke: #e1e0d9; stroke-dasharray: 1 3 } .base { stroke: #898781 }"
    print ".range { fill: #e9e6dc } .average { fill: #d3cfc2 } .between { stroke: #6b6a66 } .above { stroke: #d03b3b } .below { stroke: #2a78d6 }"
    print ".between-key { fill: #6b6a66 } .above-key { fill: #d03b3b } .below-key { fill: #2a78d6 }"
    print ".between, .above, .below { stroke-width: 1.6; fill: none } .year { stroke: #a5a39b; stroke-width: 1.5; fill: none; stroke-linejoin: round }"
    print ".front { stroke: #0b0b0b; stroke-width: 2.5; fill: none; stroke-linejoin: round } .dot { fill: #0b0b0b; stroke: #fcfcfb; stroke-width: 2 }"
    print ".day { fill: #0b0b0b; fill-opacity: 0 } .day:hover { fill-opacity: 0.12 }"
    print "@media (prefers-color-scheme: dark) {"
    print "text { fill: #c3c2b7 } .page { fill: #1a1a19 } .heading, .panel, .note, .front-label { fill: #ffffff }"
    print ".grid, .month { stroke: #2c2c2a } .base { stroke: #898781 } .range { fill: #2b2b29 } .average { fill: #43433f }"
    print ".between { stroke: #a5a39b } .above { stroke: #e66767 } .below { stroke: #3987e5 } .between-key { fill: #a5a39b } .above-key { fill: #e66767 } .below-key { fill: #3987e5 }"
    print ".year { stroke: #6b6a66 } .front { stroke: #ffffff } .dot { fill: #ffffff; stroke: #1a1a19 } .day { fill: #ffffff }"
    print "}"
    print "</style>"
    printf "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n", width, height

    text("heading", 28, 44, "The weather of Seattle in " highlight)
    text("", 28, 68, "The day was warmer than the average high " warmer + 0 " times, the night colder than the average low " colder + 0 " times.")
    key(28, "between-key", "low to high of a day in " highlight)
    key(228, "above-key", "above the average high")
    key(396, "below-key", "below the average low")
    key(564, "average", "average high and low, " 2 * window + 1 " days")
    key(779, "range", "range " year[1] "&#8211;" year[years])

    text("panel", 28, warm_top - 12, "Temperature, &#176;C")
    band("range", lowest, highest)
    band("average", mean_low, mean_high)
    for (t = t_min; t <= t_max; t += 10) {
        line("grid", left, y_temp(t), right, y_temp(t))
        text("tick end", left - 10, y_temp(t) + 4, t < 0 ? "&#8722;" (-t) : t)
    }
    months(warm_top, warm_end)
    strokes("between", "between")
    strokes("above", "above")
    strokes("below", "below")
    text("note middle", x(peak), y_temp(high[highlight, peak]) - 8, sprintf("%.1f&#176; on %s", high[highlight, peak], date(peak)))
    class = dip < 60 ? "note" : dip > 306 ? "note end" : "note middle"
    label = sprintf("%.1f&#176; on %s", low[highlight, dip], date(dip))
    sub(/^-/, "\\&#8722;", label)
    text(class, x(dip), y_temp(low[highlight, dip]) + 18, label)

    text("panel", 28, rain_top - 16, "Rain since 1 January, mm")
    for (r = 0; r <= r_max; r += 250) {
        line(r ? "grid" : "base", left, y_rain(r), right, y_rain(r))
        text("tick end", left - 10, y_rain(r) + 4, r)
    }
    months(rain_top, rain_end)
    # The others first, so that the highlighted year lies on top of them.
    for (pass = 1; pass <= 2; pass++) {
        for (i = 1; i <= years; i++) {
            if ((pass == 2) != (year[i] == highlight)) continue
            printf "<path class=\"%s\" d=\"M", (pass == 2 ? "front" : "year")
            for (d = 1; d <= 366; d++) if ((year[i], d) in has) printf "%.1f %.1f ", x(d), y_rain(rain[year[i], d])
            print "\"/>"
        }
    }
    # Labels at the ends of the lines, from the wettest year down, pushed apart where they would touch.
    previous = -100
    for (i = 1; i <= years; i++) order[i] = year[i]
    for (i = 1; i <= years; i++) for (j = i + 1; j <= years; j++) if (total[order[j]] > total[order[i]]) {
        swap = order[i]; order[i] = order[j]; order[j] = swap
    }
    for (i = 1; i <= years; i++) {
        at = y_rain(total[order[i]]) + 4
        if (at < previous + 16) at = previous + 16
        previous = at
        text(order[i] == highlight ? "front-label" : "", right + 12, at, sprintf("%s  %.0f mm", order[i], total[order[i]]))
    }
    printf "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", x(last_day[highlight]), y_rain(total[highlight])
    text("small", 28, height - 16, "Source: NOAA daily observations, as shipped in vega_datasets 0.9.0")

    # What a pointer finds: a strip for each day, over both plots.
    for (d = 1; d <= 366; d++) {
        if (!((highlight, d) in has)) continue
        printf "<rect class=\"day\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"><title>%s: %.1f to %.1f &#176;C, usual %.1f to %.1f; rain since January %.0f mm</title></rect>\n", \
            x(d) - 1.05, warm_top, 2.1, rain_end - warm_top, date(d), low[highlight, d], high[highlight, d], mean_low[d], mean_high[d], rain[highlight, d]
    }
    print "</svg>"
}
