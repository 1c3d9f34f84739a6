# clean: the CSV as tab-separated lines, one a day, in the order of their dates.
#
# in:  date,precipitation,temp_max,temp_min,wind,weather    2012/01/02,10.9,10.6,2.8,4.5,rain
# out: date  year  month  day-of-year  rain  high  low  wind
#
# Days are numbered as in a leap year (1 March is always day 61), so that the same dates of different years
# share a number. Lines that begin with # are comments. A line that cannot be right ends the run with exit 1.

function wrong(what) {
    printf "%s:%d: %s: %s\n", FILENAME, FNR, what, $0 > "/dev/stderr"
    failed = 1
    exit 1
}

function number(text) { return text ~ /^-?[0-9]+(\.[0-9]+)?$/ }

BEGIN {
    FS = ","
    split("31 29 31 30 31 30 31 31 30 31 30 31", length_of, " ")
    for (m = 1; m <= 12; m++) before[m + 1] = before[m] + length_of[m]
}

{ sub(/\r$/, "") }
/^#/ || /^$/ { next }
/^date,/ { if ($0 != "date,precipitation,temp_max,temp_min,wind,weather") wrong("unknown columns"); next }

{
    if (NF != 6) wrong("not six fields")
    if ($1 !~ /^[0-9][0-9][0-9][0-9]\/[0-9][0-9]\/[0-9][0-9]$/) wrong("not a date")
    split($1, part, "/")
    year = part[1]; month = part[2] + 0; day = part[3] + 0
    if (month < 1 || month > 12 || day < 1 || day > length_of[month]) wrong("not a date")
    for (i = 2; i <= 5; i++) if (!number($i)) wrong("not a number")
    if ($2 < 0) wrong("negative rain")
    if ($3 + 0 < $4 + 0) wrong("high below low")
    if ($1 in seen) wrong("a second line for this date")
    seen[$1] = 1
    printf "%s-%02d-%02d\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", \
        year, month, day, year, month, before[month] + day, $2, $3, $4, $5 | "LC_ALL=C sort"
}

END {
    if (failed) exit 1
    if (close("LC_ALL=C sort") != 0) exit 1
}
