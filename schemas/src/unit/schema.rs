//! JSON Schemas of the units, for the documents that people write.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::duration::Span;
use super::money::{MicroUsd, Usd};
use super::name::{LabelKey, LabelValue, MAX_LABEL_VALUE_BYTES, Skill, Slug};
use super::owner::Owner;
use super::size::Size;
use super::time::WallMs;

/// Gives text types a schema of one pattern; the pattern admits all that the type reads, and the type may still refuse
/// what a pattern cannot say (bounds, calendars).
macro_rules! text_schema {
    ($name:ty, $title:literal, $pattern:literal, $description:literal) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}

impl JsonSchema for Owner {
    fn schema_name() -> Cow<'static, str> {
        "Owner".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 0, "description": "A uid, or the name of a user." })
    }
}

text_schema!(
    Usd,
    "Usd",
    "^[0-9]+(\\.[0-9]{1,6})? ?[uU][sS][dD]$",
    "Money with its currency, as \"2.00 USD\"; at most 6 decimals and 1000000000 USD."
);
text_schema!(
    Span,
    "Span",
    "^[0-9]+(\\.[0-9]+)? *[a-z]+( *[0-9]+(\\.[0-9]+)? *[a-z]+)*$",
    "A duration as in systemd, as \"1h 30min\": ms, s, min, h, d, w; at most 10 years."
);
text_schema!(
    Size,
    "Size",
    "^(0|[1-9][0-9]*)[KMGT]?$",
    "A number of bytes as in systemd, as \"4G\": K, M, G, T are powers of 1024; at most 1024T."
);
text_schema!(
    WallMs,
    "WallMs",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
    "A time of RFC 3339 with its offset, as \"2026-11-22T08:00:00.000Z\", from 1970 to 9999; whole milliseconds count."
);
text_schema!(
    Slug,
    "Slug",
    "^[a-z0-9][a-z0-9._-]{0,63}$",
    "A name of 1 to 64 of a-z 0-9 . _ - that begins with a letter or digit."
);
text_schema!(
    Skill,
    "Skill",
    "^[a-z0-9][a-z0-9.+#_-]{0,63}$",
    "A skill of 1 to 64 of a-z 0-9 . + # _ - that begins with a letter or digit."
);

impl JsonSchema for MicroUsd {
    fn schema_name() -> Cow<'static, str> {
        "MicroUsd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "minimum": 0,
            "maximum": Self::MAX.as_micro(),
            "description": "Money in millionths of a US dollar.",
        })
    }
}

impl JsonSchema for LabelKey {
    fn schema_name() -> Cow<'static, str> {
        "LabelKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$",
            "maxLength": super::name::MAX_NAME_BYTES,
            "description": "The key of a label: names of a-z 0-9 . _ - joined by \"/\", at most 64 bytes.",
        })
    }
}

impl JsonSchema for LabelValue {
    fn schema_name() -> Cow<'static, str> {
        "LabelValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([^\\u0000-\\u0020\\u007f-\\u00a0]([^\\u0000-\\u001f\\u007f-\\u00a0]*[^\\u0000-\\u0020\\u007f-\\u00a0])?)?$",
            "maxLength": MAX_LABEL_VALUE_BYTES,
            "description": "The value of a label: at most 256 bytes of visible text without spaces at either end.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LabelKey, Skill, Slug, Span, Usd, WallMs};
    use proptest::prelude::*;
    use proptest::string::string_regex;
    use schemars::{JsonSchema, SchemaGenerator};

    /// Texts that match the pattern of a type's own schema.
    fn matching<T: JsonSchema>() -> impl Strategy<Value = String> {
        let schema = T::json_schema(&mut SchemaGenerator::default());
        let pattern = schema.get("pattern").unwrap().as_str().unwrap();
        // The generator knows no anchors; each pattern has one at either end.
        string_regex(pattern.strip_prefix('^').unwrap().strip_suffix('$').unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn what_matches_a_name_pattern_is_a_name(slug in matching::<Slug>(), skill in matching::<Skill>()) {
            prop_assert!(slug.parse::<Slug>().is_ok());
            prop_assert!(skill.parse::<Skill>().is_ok());
        }

        #[test]
        fn what_matches_is_refused_for_no_reason_of_form(
            usd in matching::<Usd>(),
            span in matching::<Span>(),
            time in matching::<WallMs>(),
            key in matching::<LabelKey>(),
        ) {
            use crate::unit::duration::SpanError;
            use crate::unit::money::MoneyError;
            use crate::unit::name::NameError;
            use crate::unit::time::TimeError;
            let usd = matches!(usd.parse::<Usd>(), Ok(_) | Err(MoneyError::TooMuch { .. }));
            let span = !matches!(span.parse::<Span>(), Err(SpanError::Form { .. }));
            let time = !matches!(time.parse::<WallMs>(), Err(TimeError::Form(_) | TimeError::NoOffset(_)));
            let key = matches!(key.parse::<LabelKey>(), Ok(_) | Err(NameError::TooLong { .. }));
            prop_assert!(usd && span && time && key, "{} {} {} {}", usd, span, time, key);
        }
    }
}
