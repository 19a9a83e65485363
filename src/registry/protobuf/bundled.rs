//! Imports that Confluent's clients take for granted, beside Google's well-known types.

use protox::file::{File, FileResolver};

const META: &str = r#"syntax = "proto3";
package confluent;
import "google/protobuf/descriptor.proto";
option java_package = "io.confluent.protobuf";
message Meta {
  string doc = 1;
  map<string, string> params = 2;
  repeated string tags = 3;
}
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }
"#;

/// Connect's schemas say a decimal's digits in `confluent.field_meta` and import no more than this.
const DECIMAL: &str = r#"syntax = "proto3";
package confluent.type;
import public "confluent/meta.proto";
option java_package = "io.confluent.protobuf.type";
message Decimal {
  bytes value = 1;
  uint32 precision = 2;
  int32 scale = 3;
}
"#;

const DATE: &str = r#"syntax = "proto3";
package google.type;
message Date {
  int32 year = 1;
  int32 month = 2;
  int32 day = 3;
}
"#;

const TIME_OF_DAY: &str = r#"syntax = "proto3";
package google.type;
message TimeOfDay {
  int32 hours = 1;
  int32 minutes = 2;
  int32 seconds = 3;
  int32 nanos = 4;
}
"#;

pub struct Bundled;

impl FileResolver for Bundled {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "confluent/meta.proto" => File::from_source(name, META),
            "confluent/type/decimal.proto" => File::from_source(name, DECIMAL),
            "google/type/date.proto" => File::from_source(name, DATE),
            "google/type/timeofday.proto" => File::from_source(name, TIME_OF_DAY),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}
