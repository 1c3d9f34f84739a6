# months: one line for each month of the year, and one for the whole year, over all years.
#
# in:  date  year  month  day-of-year  rain  high  low  wind
# out: month  average-high  average-low  rain-a-month  wet-days-a-month  then year=rain for each year
#
# A day is wet from -v wet=MM millimetres of rain on. Month 13 is the year.

function add(m) {
    days[m]++
    high[m] += $6
    low[m] += $7
    rain[m] += $5
    rain_in[m, $2] += $5
    if ($5 >= wet) wet_days[m]++
}

BEGIN { FS = OFS = "\t" }

{
    if (!($2 in known)) {
        known[$2] = 1
        year[++years] = $2 # the input is sorted, so these are too
    }
    add($3 + 0)
    add(13)
}

END {
    for (m = 1; m <= 13; m++) {
        if (!days[m]) continue
        line = sprintf("%d\t%.1f\t%.1f\t%.1f\t%.1f", m, high[m] / days[m], low[m] / days[m], rain[m] / years, \
            wet_days[m] / years)
        for (y = 1; y <= years; y++) line = line sprintf("\t%s=%.1f", year[y], rain_in[m, year[y]])
        print line
    }
}
