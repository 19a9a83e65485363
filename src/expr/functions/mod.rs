//! The list of all scalar functions: a function is one entry here.

mod call;
mod string;
mod mask;
mod java_regex;
mod regexp;
mod bytes;
mod conditional;
mod numeric;
mod rounding;
mod random;
mod datetime;
pub use datetime::is_unit;
mod collection;
pub mod foreign;
pub mod examples;
mod higher;
mod json;
pub(crate) mod json_tree;
mod url;

#[cfg(test)]
mod tests;

use super::function::Function;

/// Every scalar function, sorted by name.
pub static ALL: &[Function] = &[
    numeric::ABS,
    numeric::ACOS,
    collection::ARRAY_CONCAT,
    collection::ARRAY_CONTAINS,
    collection::ARRAY_DISTINCT,
    collection::ARRAY_EXCEPT,
    collection::ARRAY_INTERSECT,
    collection::ARRAY_JOIN,
    collection::ARRAY_LENGTH,
    collection::ARRAY_MAX,
    collection::ARRAY_MIN,
    collection::ARRAY_REMOVE,
    collection::ARRAY_SORT,
    collection::ARRAY_UNION,
    numeric::ASIN,
    collection::AS_MAP,
    collection::AS_VALUE,
    numeric::ATAN,
    numeric::ATAN2,
    bytes::BIGINT_FROM_BYTES,
    numeric::CBRT,
    numeric::CEIL,
    string::CHR,
    conditional::COALESCE,
    string::CONCAT,
    string::CONCAT_WS,
    datetime::CONVERT_TZ,
    numeric::COS,
    numeric::COSH,
    numeric::COT,
    datetime::DATEADD,
    datetime::DATESUB,
    datetime::DATETOSTRING,
    numeric::DEGREES,
    bytes::DOUBLE_FROM_BYTES,
    string::ELT,
    bytes::ENCODE,
    collection::ENTRIES,
    numeric::EXP,
    json::EXTRACTJSONFIELD,
    string::FIELD,
    higher::FILTER,
    numeric::FLOOR,
    datetime::FORMAT_DATE,
    datetime::FORMAT_TIME,
    datetime::FORMAT_TIMESTAMP,
    bytes::FROM_BYTES,
    datetime::FROM_DAYS,
    datetime::FROM_UNIXTIME,
    numeric::GENERATE_SERIES,
    numeric::GEO_DISTANCE,
    conditional::GREATEST,
    conditional::IFNULL,
    string::INITCAP,
    string::INSTR,
    bytes::INT_FROM_BYTES,
    json::IS_JSON_STRING,
    json::JSON_ARRAY_CONTAINS,
    json::JSON_ARRAY_LENGTH,
    json::JSON_CONCAT,
    json::JSON_ITEMS,
    json::JSON_KEYS,
    json::JSON_RECORDS,
    string::LCASE,
    conditional::LEAST,
    string::LEN,
    numeric::LN,
    numeric::LOG,
    string::LPAD,
    collection::MAP_KEYS,
    collection::MAP_UNION,
    collection::MAP_VALUES,
    mask::MASK,
    mask::MASK_KEEP_LEFT,
    mask::MASK_KEEP_RIGHT,
    mask::MASK_LEFT,
    mask::MASK_RIGHT,
    bytes::MD5,
    conditional::NULLIF,
    datetime::PARSE_DATE,
    datetime::PARSE_TIME,
    datetime::PARSE_TIMESTAMP,
    numeric::PI,
    numeric::POWER,
    numeric::RADIANS,
    random::RANDOM,
    higher::REDUCE,
    regexp::REGEXP_EXTRACT,
    regexp::REGEXP_EXTRACT_ALL,
    regexp::REGEXP_REPLACE,
    regexp::REGEXP_SPLIT_TO_ARRAY,
    string::REPLACE,
    numeric::ROUND,
    string::RPAD,
    numeric::SIGN,
    numeric::SIN,
    numeric::SINH,
    collection::SLICE,
    string::SPLIT,
    string::SPLIT_TO_MAP,
    numeric::SQRT,
    datetime::STRINGTODATE,
    datetime::STRINGTOTIMESTAMP,
    string::SUBSTRING,
    numeric::TAN,
    numeric::TANH,
    datetime::TIMEADD,
    datetime::TIMESTAMPADD,
    datetime::TIMESTAMPSUB,
    datetime::TIMESTAMPTOSTRING,
    datetime::TIMESUB,
    bytes::TO_BYTES,
    json::TO_JSON_STRING,
    higher::TRANSFORM,
    string::TRIM,
    numeric::TRUNC,
    string::UCASE,
    datetime::UNIX_DATE,
    datetime::UNIX_TIMESTAMP,
    url::URL_DECODE_PARAM,
    url::URL_ENCODE_PARAM,
    url::URL_EXTRACT_FRAGMENT,
    url::URL_EXTRACT_HOST,
    url::URL_EXTRACT_PARAMETER,
    url::URL_EXTRACT_PATH,
    url::URL_EXTRACT_PORT,
    url::URL_EXTRACT_PROTOCOL,
    url::URL_EXTRACT_QUERY,
    random::UUID,
];

/// Looks a function up by its upper-case name, or by one that other systems have for it.
pub fn find(name: &str) -> Option<&'static Function> {
    let name = foreign::name_of(name);
    ALL.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &ALL[i])
}
