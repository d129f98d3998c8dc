//! What every store must do, whatever it is made of. Each rule is a function over a way to open stores; here the rules are
//! held against the stores that there are.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

mod batches;
mod budgets;
mod ground;
mod keys;
mod log;
mod parts;
mod scene;
mod works;

macro_rules! conformance {
    ($store:ident on $ground:ident: $($about:ident { $($rule:ident)* })*) => {
        mod $store {
            $(mod $about {
                $(#[test]
                fn $rule() {
                    crate::$about::$rule(&crate::ground::$ground::new());
                })*
            })*
        }
    };
}

conformance! { sqlite on Sqlite:
    batches {
        a_refused_neighbour_does_not_disturb_a_batch
        a_command_that_cannot_be_stored_fails_alone
        a_batch_of_refusals_writes_nothing
        a_later_command_of_a_batch_sees_what_an_earlier_one_wrote
        a_batch_without_room_is_undone_whole_and_a_smaller_one_goes_on
    }
    keys {
        a_repeated_key_answers_with_the_events_of_then
        a_key_within_one_batch_counts_once
    }
    works {
        a_list_may_name_its_works_before_they_stand_in_it
        a_completion_hands_its_dependant_off_in_the_same_commit
        a_work_is_claimed_once
        what_was_looked_at_is_claimed_or_nothing
    }
    budgets {
        an_amount_beyond_every_table_is_refused_by_name
        a_limit_that_is_not_given_stays
        a_month_of_every_account_is_a_limit
        a_waiting_run_goes_on_when_what_it_asked_for_fits
        sums_stop_where_no_amount_goes_further
    }
    parts {
        parts_never_overspend_the_last_unit_of_their_whole
        reservations_nest_in_every_order
        a_part_asks_for_no_more_than_its_whole_has_left
        a_part_that_outlives_its_whole_is_bound_by_it_and_can_be_helped
        what_a_run_leaves_open_is_settled_when_it_ends
        open_reservations_of_a_run_have_a_bound
    }
    log {
        what_was_answered_is_there_when_it_is_opened_again
        versions_of_a_subject_follow_each_other
        a_decision_on_what_changed_is_stale
        a_checkpoint_that_is_given_out_is_kept
    }
}
