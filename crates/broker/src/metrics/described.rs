//! What each metric is, in the words that Prometheus shows.

use metrics::{Unit, describe_counter as c, describe_gauge as g, describe_histogram as h};

pub(super) fn all() {
    clients();
    messages();
    site();
    process();
}

/// Who is there, and who may be.
fn clients() {
    g!("dockside_connections", "Connected clients");
    g!("dockside_connections_limit", "Connections that are allowed at the same time");
    c!("dockside_connections_opened_total", "Clients that were let in");
    c!("dockside_connections_closed_total", "Connections that ended, by who ended them and why");
    c!("dockside_connects_rejected_total", "Connections that ended before they were let in");
    c!(
        "dockside_limits_reached_total",
        "How often clients met a limit of the configuration, by its key under limits"
    );
    g!("dockside_subscriptions", "Subscriptions, shared ones apart");
    g!("dockside_sessions", "Sessions that are kept, with and without a connection");
    c!("dockside_sessions_resumed_total", "Sessions that their client came back to");
    h!(
        "dockside_connect_duration_seconds",
        Unit::Seconds,
        "From a connection accepted to its client let in"
    );
    g!(
        "dockside_tls_certificate_not_after_timestamp_seconds",
        Unit::Seconds,
        "When the certificate of a TLS listener ends"
    );
    c!("dockside_sessions_expired_total", "Sessions that nobody came back to in time");
    c!("dockside_auth_attempts_total", "Logins, by who decides them and by result");
    c!("dockside_acl_checks_total", "Publishes and subscriptions, by the rules of access");
}

/// What goes through.
fn messages() {
    g!(
        "dockside_inflight_messages",
        "Messages on their way that are not acknowledged, by direction"
    );
    g!("dockside_queued_messages", "Messages in the store that sessions and groups wait for");
    g!(
        "dockside_queued_bytes",
        Unit::Bytes,
        "What messages hold that sessions and groups wait for"
    );
    c!("dockside_messages_redelivered_total", "PUBLISH packets that were sent again");
    c!("dockside_packets_received_total", "Packets from clients, by type");
    c!("dockside_packets_sent_total", "Packets to clients, by type");
    g!("dockside_retained_messages", "Retained messages");
    g!("dockside_retained_bytes", Unit::Bytes, "What retained messages hold");
    c!("dockside_messages_received_total", "PUBLISH packets from clients");
    c!("dockside_messages_sent_total", "PUBLISH packets to clients");
    c!("dockside_message_bytes_received_total", Unit::Bytes, "Payload of PUBLISH from clients");
    c!("dockside_message_bytes_sent_total", Unit::Bytes, "Payload of PUBLISH to clients");
    c!("dockside_bytes_received_total", Unit::Bytes, "Bytes from clients");
    c!("dockside_bytes_sent_total", Unit::Bytes, "Bytes to clients");
    h!(
        "dockside_delivery_duration_seconds",
        Unit::Seconds,
        "From a PUBLISH read to its last write to a subscriber's socket, of one message in 64"
    );
    c!("dockside_messages_dropped_total", "Messages that did not reach a subscriber, or had none");
    g!("dockside_live_log_pending_bytes", Unit::Bytes, "Charges on their way to the dispatcher");
}

/// Docks, flight tasks and events.
fn site() {
    g!("dockside_docks_online", "Docks whose connection is there");
    g!("dockside_docks_silent", "Docks that are connected and say nothing");
    g!("dockside_flight_tasks", "Flight tasks that are shown, by status");
    c!(
        "dockside_flight_task_transitions_total",
        "How often a flight task came to have another status, by that"
    );
    c!(
        "dockside_events_unacknowledged_total",
        "Replies given up because the application that they wait for did not acknowledge the event"
    );
    h!(
        "dockside_event_reply_duration_seconds",
        Unit::Seconds,
        "From an event read to its reply written, on the direct path"
    );
    c!("dockside_hook_panics_total", "Panics of plugins that were caught");
    c!(
        "dockside_hook_over_budget_total",
        "Calls of plugins that took longer than 1 ms, in which their thread served nobody else"
    );
}

/// The broker itself, its configuration and its store.
fn process() {
    g!("dockside_build_info", "What this is; always 1");
    h!(
        "dockside_storage_commit_duration_seconds",
        Unit::Seconds,
        "How long a transaction of the store took, with what it wrote"
    );
    g!(
        "dockside_clock_doubted",
        "Whether the wall clock is not believed, and nothing expires by it"
    );
    g!("dockside_storage_file_bytes", Unit::Bytes, "What the store's file takes, without its log");
    g!("dockside_storage_disk_free_bytes", Unit::Bytes, "Free space of the store's file system");
    g!("dockside_storage_disk_short", "Whether something goes for store.min_free_bytes");
    g!("dockside_storage_works", "Whether the store could be written when it was last tried");
    c!(
        "dockside_storage_errors_total",
        "Transactions that failed, and what could not be kept although the store works"
    );
    g!(
        "dockside_storage_bytes",
        Unit::Bytes,
        "What the store holds as retained messages, in queues for each that waits, and of sessions: names, filters and wills"
    );
    c!(
        "dockside_storage_trimmed_total",
        "Rows that went early, so that the file stays within store.max_bytes"
    );
    c!("dockside_storage_commits_total", "Transactions that were committed");
    g!("dockside_config_last_reload_successful", "Whether the last reload took everything over");
    g!(
        "dockside_config_last_reload_success_timestamp_seconds",
        Unit::Seconds,
        "When a start or a reload last took everything over"
    );
}
