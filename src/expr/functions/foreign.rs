//! Functions as other SQL systems call them: the same under another name, or what to write instead.

/// Another name for a function that does the same with the same arguments; sorted.
pub static ALIASES: &[(&str, &str)] = &[
    ("ARRAY_SIZE", "ARRAY_LENGTH"),
    ("ARRAY_TO_STRING", "ARRAY_JOIN"),
    ("CARDINALITY", "ARRAY_LENGTH"),
    ("CEILING", "CEIL"),
    ("CHARACTER_LENGTH", "LEN"),
    ("CHAR_LENGTH", "LEN"),
    ("GET_JSON_OBJECT", "EXTRACTJSONFIELD"),
    ("JSON_EXTRACT_SCALAR", "EXTRACTJSONFIELD"),
    ("LENGTH", "LEN"),
    ("LOWER", "LCASE"),
    ("NVL", "IFNULL"),
    ("POW", "POWER"),
    ("RAND", "RANDOM"),
    ("STRPOS", "INSTR"),
    ("SUBSTR", "SUBSTRING"),
    ("TO_JSON", "TO_JSON_STRING"),
    ("TRUNCATE", "TRUNC"),
    ("UPPER", "UCASE"),
];

/// What to write for a function that the dialect does not have; sorted.
static ANSWERS: &[(&str, &str)] = &[
    ("ANY_VALUE", "LATEST_BY_OFFSET(x) takes the last value of a group"),
    ("APPROX_COUNT_DISTINCT", "COUNT_DISTINCT(x) counts exactly"),
    ("ARRAY_AGG", "COLLECT_LIST(x) gathers the values of a group"),
    ("CHARINDEX", "INSTR(text, part), with the text first"),
    ("CONVERT", "CAST(value AS type), or CONVERT_TZ(timestamp, from, to) for zones"),
    ("CUBE", "GROUP BY each set of columns by itself; UNION ALL puts streams together"),
    ("CURDATE", "FROM_DAYS(UNIX_DATE()) is today"),
    ("CURRENT_DATE", "FROM_DAYS(UNIX_DATE()) is today"),
    ("CURRENT_TIMESTAMP", "FROM_UNIXTIME(UNIX_TIMESTAMP()) is now"),
    ("DATEDIFF", "UNIX_DATE(later) - UNIX_DATE(earlier) counts the days between two dates"),
    ("DATENAME", "FORMAT_TIMESTAMP(timestamp, 'EEEE') is the name of the day"),
    ("DATEPART", "CAST(FORMAT_TIMESTAMP(timestamp, 'yyyy') AS INT) is the year"),
    ("DATE_ADD", "DATEADD(DAYS, 1, date), TIMESTAMPADD(HOURS, 1, timestamp)"),
    ("DATE_DIFF", "UNIX_DATE(later) - UNIX_DATE(earlier) counts the days between two dates"),
    ("DATE_FORMAT", "FORMAT_TIMESTAMP(timestamp, 'yyyy-MM-dd HH:mm')"),
    ("DATE_PART", "CAST(FORMAT_TIMESTAMP(timestamp, 'yyyy') AS INT) is the year"),
    ("DATE_SUB", "DATESUB(DAYS, 1, date), TIMESTAMPSUB(HOURS, 1, timestamp)"),
    (
        "DATE_TRUNC",
        "PARSE_TIMESTAMP(FORMAT_TIMESTAMP(timestamp, 'yyyy-MM-dd HH'), 'yyyy-MM-dd HH') is the hour",
    ),
    ("DAY", "CAST(FORMAT_TIMESTAMP(timestamp, 'd') AS INT)"),
    ("DECODE", "CASE value WHEN a THEN x … ELSE y END"),
    ("FIRST", "EARLIEST_BY_OFFSET(x) takes the first value of a group"),
    ("FIRST_VALUE", "EARLIEST_BY_OFFSET(x) takes the first value of a group"),
    ("FLATTEN", "EXPLODE(array) makes a row of each item"),
    ("FROM_TIMESTAMP", "FORMAT_TIMESTAMP(timestamp, 'yyyy-MM-dd HH:mm')"),
    ("GETDATE", "FROM_UNIXTIME(UNIX_TIMESTAMP()) is now"),
    ("GROUP_CONCAT", "ARRAY_JOIN(COLLECT_LIST(x), ',') joins the values of a group"),
    ("HOUR", "CAST(FORMAT_TIMESTAMP(timestamp, 'H') AS INT)"),
    ("IF", "CASE WHEN condition THEN a ELSE b END"),
    ("IIF", "CASE WHEN condition THEN a ELSE b END"),
    ("ISNULL", "x IS NULL, or IFNULL(x, otherwise)"),
    ("JSON_EXTRACT", "EXTRACTJSONFIELD(json, '$.field')"),
    ("JSON_QUERY", "EXTRACTJSONFIELD(json, '$.field')"),
    ("JSON_VALUE", "EXTRACTJSONFIELD(json, '$.field')"),
    ("LAST", "LATEST_BY_OFFSET(x) takes the last value of a group"),
    ("LAST_VALUE", "LATEST_BY_OFFSET(x) takes the last value of a group"),
    ("LEFT", "SUBSTRING(text, 1, length)"),
    ("LISTAGG", "ARRAY_JOIN(COLLECT_LIST(x), ',') joins the values of a group"),
    ("LOCATE", "INSTR(text, part), with the text first"),
    ("LOG10", "LOG(10, x)"),
    ("LOG2", "LOG(2, x)"),
    ("LTRIM", "REGEXP_REPLACE(text, '^ +', '')"),
    ("MINUTE", "CAST(FORMAT_TIMESTAMP(timestamp, 'm') AS INT)"),
    ("MOD", "a % b"),
    ("MONTH", "CAST(FORMAT_TIMESTAMP(timestamp, 'M') AS INT)"),
    ("NOW", "FROM_UNIXTIME(UNIX_TIMESTAMP()) is now"),
    ("NVL2", "CASE WHEN x IS NOT NULL THEN a ELSE b END"),
    ("POSITION", "INSTR(text, part), with the text first"),
    ("REGEXP_LIKE", "REGEXP_EXTRACT(expression, text) IS NOT NULL"),
    ("REGEXP_MATCHES", "REGEXP_EXTRACT(expression, text) IS NOT NULL"),
    ("REGEXP_SUBSTR", "REGEXP_EXTRACT(expression, text), with the expression first"),
    ("RIGHT", "SUBSTRING(text, -length)"),
    ("ROLLUP", "GROUP BY each set of columns by itself; UNION ALL puts streams together"),
    ("RTRIM", "REGEXP_REPLACE(text, ' +$', '')"),
    ("SAFE_CAST", "CAST(value AS type): what does not fit is NULL"),
    ("SECOND", "CAST(FORMAT_TIMESTAMP(timestamp, 's') AS INT)"),
    ("SIZE", "ARRAY_LENGTH(array), or ARRAY_LENGTH(MAP_KEYS(map))"),
    ("SPLIT_PART", "SPLIT(text, delimiter)[n]"),
    ("STRING_AGG", "ARRAY_JOIN(COLLECT_LIST(x), ',') joins the values of a group"),
    ("STRING_SPLIT", "SPLIT(text, delimiter)"),
    ("STR_TO_DATE", "PARSE_DATE(text, 'yyyy-MM-dd')"),
    ("SYSDATE", "FROM_UNIXTIME(UNIX_TIMESTAMP()) is now"),
    ("TODAY", "FROM_DAYS(UNIX_DATE()) is today"),
    ("TO_CHAR", "CAST(value AS STRING), or FORMAT_TIMESTAMP(timestamp, 'yyyy-MM-dd')"),
    ("TO_DATE", "PARSE_DATE(text, 'yyyy-MM-dd')"),
    ("TO_NUMBER", "CAST(text AS DECIMAL(10, 2)), or AS DOUBLE"),
    ("TO_TIMESTAMP", "PARSE_TIMESTAMP(text, 'yyyy-MM-dd HH:mm:ss')"),
    ("TRY_CAST", "CAST(value AS type): what does not fit is NULL"),
    ("UNNEST", "EXPLODE(array) makes a row of each item"),
    ("YEAR", "CAST(FORMAT_TIMESTAMP(timestamp, 'yyyy') AS INT)"),
];

/// The dialect's name of a function.
pub fn name_of(name: &str) -> &str {
    match ALIASES.binary_search_by_key(&name, |(alias, _)| alias) {
        Ok(i) => ALIASES[i].1,
        Err(_) => name,
    }
}

/// The name itself, where it is one of another system.
pub fn alias(name: &str) -> Option<&'static str> {
    ALIASES.binary_search_by_key(&name, |(alias, _)| alias).ok().map(|i| ALIASES[i].0)
}

/// Other names for a function.
pub fn aliases(name: &str) -> Vec<&'static str> {
    ALIASES.iter().filter(|(_, ours)| *ours == name).map(|(alias, _)| *alias).collect()
}

/// What to write instead of a function, or a column such as CURRENT_DATE, of another system.
pub fn answer(name: &str) -> Option<&'static str> {
    ANSWERS.binary_search_by_key(&name, |(foreign, _)| foreign).ok().map(|i| ANSWERS[i].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate;
    use crate::expr::functions::ALL;

    #[test]
    fn names_lead_to_functions() {
        assert!(ALIASES.is_sorted() && ANSWERS.is_sorted());
        let known = |name: &str| ALL.iter().any(|f| f.name == name) || aggregate::find(name).is_some();
        for (alias, ours) in ALIASES {
            assert!(!known(alias) && known(ours) && answer(alias).is_none(), "{alias}");
        }
        for (foreign, answer) in ANSWERS {
            assert!(!known(foreign), "{foreign}");
            for call in answer.split('(').rev().skip(1) {
                let word: Vec<char> =
                    call.chars().rev().take_while(|c| c.is_ascii_uppercase() || "_".contains(*c)).collect();
                let word: String = word.into_iter().rev().collect();
                let grammar = matches!(word.as_str(), "" | "CAST" | "DECIMAL" | "EXPLODE");
                assert!(grammar || known(&word), "{foreign}: {answer}: {word}");
            }
        }
    }
}
