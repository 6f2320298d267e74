//! The metrics as they would be, and what is said of them.

use super::*;

/// What is said at the end of looks a minute apart, each with the metrics so long after the start.
fn at_the_end(minutes: u64, metrics: impl Fn(u64) -> String) -> Vec<Condition> {
    let mut figures = Figures::default();
    let wall_s = |minute: u64| Some((1_000_000 + minute * 60) as f64);
    let mut looks = (0..=minutes)
        .map(|minute| figures.look(&metrics(minute), minute * MINUTE_MS, wall_s(minute)));
    let mut last = Vec::new();
    for found in &mut looks {
        last = found;
    }
    last
}

fn names(minutes: u64, metrics: impl Fn(u64) -> String) -> Vec<&'static str> {
    at_the_end(minutes, metrics).iter().map(|condition| condition.name).collect()
}

#[test]
fn series_are_summed_by_name_and_label() {
    let text = "# HELP a is a 1\na{x=\"1\",y=\"2\"} 3\na{x=\"2\"} 4\na_b 5\nab 6\nc 7\nd odd\n";
    assert_eq!(sum(text, "a", &[]), Some(7.0));
    assert_eq!(sum(text, "a", &["x=\"2\""]), Some(4.0));
    assert_eq!(sum(text, "a", &["x=\"2\"", "y=\"2\""]), Some(7.0));
    assert_eq!(sum(text, "c", &[]), Some(7.0));
    assert_eq!([sum(text, "d", &[]), sum(text, "e", &[]), sum(text, "a", &["z"])], [None; 3]);
}

#[test]
fn a_rise_is_that_of_its_span() {
    let mut rise = Rise::over(5);
    // What was there before the broker looked first is nobody's news.
    assert_eq!(rise.by(0, Some(100.0)), 0.0);
    assert_eq!(rise.by(MINUTE_MS, Some(103.0)), 3.0);
    assert_eq!(rise.by(2 * MINUTE_MS, None), 0.0);
    assert_eq!(rise.by(5 * MINUTE_MS, Some(103.0)), 3.0);
    assert_eq!(rise.by(6 * MINUTE_MS, Some(104.0)), 1.0);
    for minute in 7..1_000 {
        rise.by(minute * MINUTE_MS, Some(104.0));
    }
    assert!(rise.seen.len() <= 7, "{}", rise.seen.len());
}

#[test]
fn what_rises_is_told_for_as_long_as_its_span() {
    for (metric, name, span) in [
        ("dockside_messages_dropped_total{reason=\"queue_full\"}", "MessagesDropped", 5),
        ("dockside_messages_dropped_total{reason=\"retained_full\"}", "MessagesDropped", 5),
        ("dockside_messages_dropped_total{reason=\"qos0_backpressure\"}", "MessagesDropped", 5),
        ("dockside_hook_panics_total", "HookPanicked", 15),
        ("dockside_storage_errors_total{op=\"commit\"}", "StoreErrors", 5),
        ("dockside_storage_trimmed_total{what=\"event\"}", "StoreTrimmed", 60),
    ] {
        // It rises by one in the third minute.
        let metrics = |minute: u64| format!("{metric} {}\n", 7 + u64::from(minute >= 3));
        assert_eq!(names(2, metrics), [""; 0], "{metric}");
        assert_eq!(names(3, metrics), [name]);
        assert_eq!(names(2 + span, metrics), [name]);
        assert_eq!(names(3 + span, metrics), [""; 0], "{metric}");
    }
    let asked_for = |minute: u64| {
        format!("dockside_messages_dropped_total{{reason=\"no_subscriber\"}} {minute}\n")
    };
    assert_eq!(names(9, asked_for), [""; 0]);
}

#[test]
fn many_logins_that_fail_are_somebody_who_guesses() {
    let of = |a_minute: u64| {
        move |minute: u64| {
            let reasons = ["bad_credentials", "tls"].map(|reason| {
                format!(
                    "dockside_connects_rejected_total{{reason=\"{reason}\"}} {}\n",
                    minute * a_minute
                )
            });
            reasons.concat()
        }
    };
    assert_eq!(names(9, of(4)), [""; 0], "20 in 5 minutes");
    assert_eq!(names(9, of(5)), ["BadCredentials"]);
}

#[test]
fn events_without_a_reply_are_told_when_it_goes_on() {
    let of = |minute: u64, received, ignored, replied, unacknowledged| {
        format!(
            "dockside_events_received_total{{method=\"a\"}} {}\ndockside_events_ignored_total{{reason=\"b\"}} {}\n\
             dockside_events_replied_total{{method=\"a\",result=\"ok\"}} {}\ndockside_events_unacknowledged_total {}\n",
            minute * received,
            minute * ignored,
            minute * replied,
            minute * unacknowledged
        )
    };
    assert_eq!(
        names(9, |minute| of(minute, 100, 40, 60, 0)),
        [""; 0],
        "nobody waits for the others"
    );
    assert_eq!(names(9, |minute| of(minute, 1_000, 0, 990, 0)), [""; 0], "one in a hundred");
    assert_eq!(names(9, |minute| of(minute, 1_000, 0, 989, 0)), ["EventsUnanswered"]);
    assert_eq!(names(9, |minute| of(minute, 1_000, 0, 1_000, 11)), ["EventsUnanswered"]);
    // An event that is on its way to its reply at one look.
    let once = |minute: u64| of(1, 100, 0, 100 - u64::from(minute == 9), 0);
    assert_eq!(names(9, once), [""; 0]);
}

#[test]
fn slow_replies_are_told_after_five_minutes() {
    let of = |slow: u64| {
        move |minute: u64| {
            let name = "dockside_event_reply_duration_seconds";
            let quick = minute * (1_000 - slow);
            format!(
                "{name}_bucket{{le=\"0.0025\"}} 0\n{name}_bucket{{le=\"0.005\"}} {quick}\n{name}_count {}\n",
                minute * 1_000
            )
        }
    };
    assert_eq!(names(9, of(10)), [""; 0], "one in a hundred");
    assert_eq!(names(9, of(11)), ["RepliesSlow"]);
    assert_eq!(names(5, of(11)), [""; 0], "not for five minutes yet");
    assert_eq!(names(6, of(11)), ["RepliesSlow"]);
}

#[test]
fn what_is_short_is_told() {
    let one = |text: &'static str| move |_: u64| text.to_owned();
    let short = one("dockside_storage_disk_short 1\n");
    assert_eq!([names(0, short).len(), names(1, short).len()], [0, 1]);
    assert_eq!(names(9, one("dockside_storage_disk_short 0\n")), [""; 0]);
    assert_eq!(names(9, one("dockside_storage_disk_free_bytes 1073741823\n")), ["DiskNearlyFull"]);
    assert_eq!(names(9, one("dockside_storage_disk_free_bytes 1073741824\n")), [""; 0]);
    assert_eq!(names(9, one("dockside_storage_disk_free_bytes 0\n")), ["DiskNearlyFull"]);
    assert_eq!(names(4, one("dockside_storage_disk_free_bytes 0\n")), [""; 0], "not looked at yet");
    assert_eq!(
        names(9, one("process_open_fds 81\nprocess_max_fds 100\n")),
        ["DescriptorsNearLimit"]
    );
    assert_eq!(names(9, one("process_open_fds 80\nprocess_max_fds 100\n")), [""; 0]);
    assert_eq!(names(9, one("dockside_config_last_reload_successful 0\n")), ["ReloadFailed"]);
    assert_eq!(names(9, one("dockside_config_last_reload_successful 1\n")), [""; 0]);
}

#[test]
fn certificates_that_end_are_told_each() {
    let name = "dockside_tls_certificate_not_after_timestamp_seconds";
    let ends = |days: i64| 1_000_000 + 120 + days * 86_400;
    let metrics = move |_: u64| {
        let files = [("a.pem", ends(13)), ("b.pem", ends(-1)), ("c.pem", ends(15))];
        files.map(|(file, ends)| format!("{name}{{file=\"{file}\"}} {ends}\n")).concat()
    };
    let found = at_the_end(2, metrics);
    let texts: Vec<_> = found.iter().map(|c| (c.name, c.file.as_deref(), &*c.text)).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(texts[0].0, "CertificateExpires");
    assert!(texts[0].1 == Some("a.pem") && texts[0].2.contains("13 days"), "{texts:?}");
    assert!(texts[1].1 == Some("b.pem") && texts[1].2.contains("has ended"), "{texts:?}");
    let doubted = Figures::default().look(&metrics(0), 5 * MINUTE_MS, None);
    assert_eq!(doubted, [], "nobody knows what time it is");
}
