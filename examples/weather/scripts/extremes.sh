# extremes: the days and spells that people remember.
#
# usage: sh extremes.sh CLEAN.tsv WET
# in:    date  year  month  day-of-year  rain  high  low  wind
# out:   what  value  unit  date  [last date]
#
# Of equal days the earliest wins. A day is wet from WET millimetres of rain on, dry below.
set -eu
days=$1
wet=$2
tab=$(printf '\t')

# first COLUMN ORDER WHAT UNIT: the first line when sorted by a column. (awk reads to the end: a `head` that
# leaves early would kill sort, and a shell with pipefail would call that a failure.)
first() {
    LC_ALL=C sort -t "$tab" -k "$1,$1$2" -k 1,1 "$days" |
        awk -F "$tab" -v column="$1" -v what="$3" -v unit="$4" \
            'NR == 1 { printf "%s\t%s\t%s\t%s\n", what, $column, unit, $1 }'
}

# spell WHAT LOW HIGH: the longest run of days with LOW <= rain < HIGH.
spell() {
    awk -F "$tab" -v what="$1" -v low="$2" -v high="$3" '
        $5 >= low && $5 < high { if (!run++) start = $1; if (run > best) { best = run; from = start; to = $1 } next }
        { run = 0 }
        END { if (best) printf "%s\t%d\tdays\t%s\t%s\n", what, best, from, to }' "$days"
}

first 6 nr 'hottest day' C
first 7 n 'coldest night' C
first 5 nr 'wettest day' mm
first 8 nr 'windiest day' m/s
spell 'longest dry spell' 0 "$wet"
spell 'longest wet spell' "$wet" 100000
