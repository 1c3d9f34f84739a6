# year: the days of one year (-v year=2015) with the rain fallen since 1 January.
#
# in:  date  year  month  day-of-year  rain  high  low  wind
# out: year  day-of-year  high  low  rain-so-far

BEGIN { FS = OFS = "\t" }

$2 == year {
    rain += $5
    print $2, $4, $6, $7, sprintf("%.1f", rain)
    days++
}

END {
    if (!days) {
        print "no observations of " year > "/dev/stderr"
        exit 1
    }
}
