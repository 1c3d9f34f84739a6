# normals: for each of the 366 days of the year, what all years together say about it.
#
# in:  date  year  month  day-of-year  rain  high  low  wind
# out: day-of-year  lowest-low  average-low  average-high  highest-high
#
# The averages are taken over -v window=N days on either side, across the turn of the year.

BEGIN { FS = OFS = "\t" }

{
    d = $4
    if (!(d in n) || $7 < lowest[d]) lowest[d] = $7 + 0
    if (!(d in n) || $6 > highest[d]) highest[d] = $6 + 0
    n[d]++
    highs[d] += $6
    lows[d] += $7
}

END {
    for (d = 1; d <= 366; d++) {
        count = high = low = 0
        for (i = d - window; i <= d + window; i++) {
            j = (i + 731) % 366 + 1 # 1..366, whatever i
            count += n[j]
            high += highs[j]
            low += lows[j]
        }
        if (!(d in highest) || !count) {
            print "no observations of day " d > "/dev/stderr"
            exit 1
        }
        print d, sprintf("%.1f", lowest[d]), sprintf("%.2f", low / count), sprintf("%.2f", high / count), \
            sprintf("%.1f", highest[d])
    }
}
