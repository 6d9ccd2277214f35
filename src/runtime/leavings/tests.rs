use super::*;

const DAY_MS: u64 = 86_400_000;

fn at(boot: &str, ms: u64) -> Moment {
    Moment {
        boot: boot.to_owned(),
        ms,
    }
}

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn left_at(now: &Moment) -> Leavings {
    let mut leavings = Leavings::default();
    leavings.advance(now);
    leavings.keep(app("web"), KEPT_FOR);
    leavings
}

#[test]
fn an_app_is_kept_for_seven_days_and_not_an_hour_less() {
    let mut leavings = left_at(&at("a", 5_000));
    leavings.advance(&at("a", 5_000 + 7 * DAY_MS - 1));
    assert_eq!(leavings.expired(), []);
    leavings.advance(&at("a", 5_000 + 7 * DAY_MS));
    assert_eq!(leavings.expired(), [app("web")]);
}

#[test]
fn each_app_has_its_own_time_and_leaving_twice_does_not_prolong_it() {
    let mut leavings = left_at(&at("a", 0));
    leavings.advance(&at("a", 3 * DAY_MS));
    leavings.keep(app("db"), KEPT_FOR);
    leavings.keep(app("web"), KEPT_FOR);
    assert_eq!(
        leavings.time_left(&app("web")),
        Some(Duration::from_millis(4 * DAY_MS))
    );
    leavings.advance(&at("a", 8 * DAY_MS));
    assert_eq!(leavings.expired(), [app("web")]);
    assert!(leavings.holds(&app("db")));
}

#[test]
fn an_app_that_was_back_begins_anew_when_it_leaves_again() {
    let mut leavings = left_at(&at("a", 0));
    leavings.advance(&at("a", 6 * DAY_MS));
    leavings.let_go(&app("web"));
    assert!(leavings.is_empty());
    leavings.keep(app("web"), KEPT_FOR);
    assert_eq!(leavings.time_left(&app("web")), Some(KEPT_FOR));
}

#[test]
fn time_between_two_boots_does_not_count_and_a_smaller_uptime_takes_nothing_back() {
    let mut leavings = left_at(&at("a", 100 * DAY_MS));
    leavings.advance(&at("a", 101 * DAY_MS));
    leavings.advance(&at("b", 60_000));
    assert_eq!(
        leavings.time_left(&app("web")),
        Some(Duration::from_millis(6 * DAY_MS))
    );
    leavings.advance(&at("b", 60_000 + DAY_MS));
    assert_eq!(
        leavings.time_left(&app("web")),
        Some(Duration::from_millis(5 * DAY_MS))
    );
    leavings.advance(&at("b", 0));
    assert_eq!(
        leavings.time_left(&app("web")),
        Some(Duration::from_millis(5 * DAY_MS))
    );
}

#[test]
fn the_clock_of_this_machine_goes_on_and_keeps_its_boot() {
    let (before, after) = (Moment::now(), Moment::now());
    assert_eq!(before.boot, after.boot);
    assert!(!before.boot.is_empty() && before.ms > 0 && after.ms >= before.ms);
}
