//! Defects of agentd as callers see them: a reference. What went wrong may name files of the host, and is for its log.

use agentd_schemas::problem::{Code, Problem};

use crate::sys::random;

/// What crosses a door of a problem: all of it, unless it is a defect. That is logged, and told by its reference alone.
pub(super) fn outside(problem: Problem) -> Problem {
    if problem.code != Code::Internal {
        return problem;
    }
    let reference =
        random::bytes::<4>().map_or_else(|_| "-".to_owned(), |bytes| data_encoding::HEXLOWER.encode(&bytes));
    tracing::error!(reference, "{}", problem.message);
    Problem::new(Code::Internal, format!("internal error {reference}"))
        .hint(format!("this is a defect of agentd: its log says more (journalctl -u agentd | grep {reference})"))
        .detail("reference", reference)
}

#[cfg(test)]
mod tests {
    use super::outside;
    use agentd_schemas::problem::{Code, Problem};

    #[test]
    fn a_defect_is_told_without_what_it_is_about() {
        let told = outside(Problem::internal("secret file /var/lib/agentd/keys/authority has mode 0644"));
        assert_eq!(told.code, Code::Internal);
        let reference = told.details["reference"].as_str().unwrap();
        assert_eq!(told.message, format!("internal error {reference}"));
        assert!(told.hint.as_deref().is_some_and(|hint| hint.contains(reference)));
        assert!(!serde_json::to_string(&told).unwrap().contains("authority"));
        let other = Problem::new(Code::Busy, "too much").hint("later");
        assert_eq!(outside(other.clone()), other);
    }
}
