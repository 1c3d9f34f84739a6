# report: months.tsv and extremes.tsv as a table for people.
#
# -v wet=MM is only for the caption. Whatever is padded is ASCII: some awks count bytes.

function rule() {
    line = sprintf("%53s", "")
    gsub(/ /, "-", line)
    return line substr(dashes, 1, 9 * years)
}

BEGIN {
    FS = "\t"
    split("January February March April May June July August September October November December Year", name, " ")
    dashes = "------------------------------------------------------------------------------------"
}

NR == 1 {
    years = NF - 5
    head = sprintf("%-11s%10s%10s%11s%11s", "", "high", "low", "rain", "wet days")
    for (y = 1; y <= years; y++) head = head sprintf("%9s", substr($(5 + y), 1, 4))
    first_year = substr($6, 1, 4)
    last_year = substr($NF, 1, 4)
    print "Seattle, " first_year " to " last_year
    print "Averages by month: daily high and low in C, rain in mm, days with " wet " mm or more; rain in mm by year"
    print ""
    print head
    print rule()
}

FNR == NR {
    if ($1 == 13) print rule()
    line = sprintf("%-11s%10.1f%10.1f%11.1f%11.1f", name[$1], $2, $3, $4, $5)
    for (y = 1; y <= years; y++) line = line sprintf("%9.1f", substr($(5 + y), 6))
    print line
    next
}

FNR == 1 { print "" }

{
    when = NF > 4 ? $4 " to " $5 : "on " $4
    printf "%-20s%8s %-5s %s\n", $1, $2, $3, when
}

END {
    print ""
    print "Source: NOAA daily observations (see data/README.md)"
}
