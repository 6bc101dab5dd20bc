use serde_json::{Value, json};

use super::*;

const MADE: &str = "2026-01-01T00:00:30Z";

fn cron_job(spec: Value, status: Value) -> CronJob {
    let mut object = json!({
        "metadata": {"name": "tick", "namespace": "default", "creationTimestamp": MADE},
        "spec": {"schedule": "*/5 * * * *", "jobTemplate": {}},
        "status": status,
    });
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn job(name: &str, condition: &str) -> Arc<Job> {
    let conditions = match condition {
        "" => json!([]),
        kind => json!([{"type": kind, "status": "True"}]),
    };
    let job = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "status": {"conditions": conditions, "startTime": format!("2026-01-01T00:0{}:00Z", &name[name.len() - 1..])},
    });
    Arc::new(serde_json::from_value(job).unwrap())
}

fn active(names: &[&str]) -> Value {
    let list: Vec<Value> = names.iter().map(|name| json!({"name": name, "uid": name})).collect();
    json!({"active": list, "lastScheduleTime": "2026-01-01T00:05:00Z"})
}

/// The time for which a Job is made, and the reasons of events.
fn check(
    cron_job: &CronJob,
    jobs: &[Arc<Job>],
    now: &str,
    start: Option<&str>,
    events: &[&str],
) -> Plan {
    let plan = plan(cron_job, jobs, now.parse().unwrap());
    assert_eq!(plan.start.map(|it| it.to_string()).as_deref(), start);
    let reasons: Vec<&str> = plan.events.iter().map(|(_, reason, _)| *reason).collect();
    assert_eq!(reasons, events);
    plan
}

#[test]
fn a_job_is_made_for_the_latest_time_that_has_come() {
    let new = cron_job(json!({}), json!({}));
    let plan = check(&new, &[], "2026-01-01T00:04:00Z", None, &[]);
    assert_eq!(plan.again, Some(Duration::from_millis(60_100)));
    check(&new, &[], "2026-01-01T00:05:00Z", Some("2026-01-01T00:05:00Z"), &[]);
    check(&new, &[], "2026-01-01T00:21:00Z", Some("2026-01-01T00:20:00Z"), &[]);
    let done = cron_job(json!({}), json!({"lastScheduleTime": "2026-01-01T00:20:00Z"}));
    check(&done, &[], "2026-01-01T00:21:00Z", None, &[]);
    check(&new, &[], "2026-03-01T00:01:00Z", Some("2026-03-01T00:00:00Z"), &["TooManyMissedTimes"]);
}

#[test]
fn a_job_that_comes_too_late_is_not_made() {
    let hasty = cron_job(json!({"startingDeadlineSeconds": 30}), json!({}));
    check(&hasty, &[], "2026-01-01T00:05:20Z", Some("2026-01-01T00:05:00Z"), &[]);
    check(&hasty, &[], "2026-01-01T00:06:00Z", None, &[]);
}

#[test]
fn what_still_runs_is_left_or_replaced_or_waited_for() {
    let now = "2026-01-01T00:10:00Z";
    let (ten, jobs) = (Some("2026-01-01T00:10:00Z"), [job("tick-5", "")]);
    let of = |policy: &str| cron_job(json!({"concurrencyPolicy": policy}), active(&["tick-5"]));
    let plan = check(&of("Allow"), &jobs, now, ten, &[]);
    assert_eq!((plan.replace.len(), plan.status.active.map(|it| it.len())), (0, Some(1)));
    let plan = check(&of("Replace"), &jobs, now, ten, &[]);
    assert_eq!((plan.replace.len(), plan.status.active), (1, None));
    check(&of("Forbid"), &jobs, now, None, &["JobAlreadyActive"]);
    let over = [job("tick-5", "Complete")];
    check(&of("Forbid"), &over, now, ten, &["SawCompletedJob"]);
}

#[test]
fn one_that_is_suspended_or_cannot_be_read_makes_nothing_but_forgets() {
    let now = "2026-01-01T00:10:00Z";
    let jobs: Vec<_> = (1..=5).map(|number| job(&format!("tick-{number}"), "Complete")).collect();
    let jobs: Vec<_> =
        jobs.into_iter().chain([job("bad-1", "Failed"), job("bad-2", "Failed")]).collect();
    let plan = check(&cron_job(json!({"suspend": true}), json!({})), &jobs, now, None, &[]);
    let names: Vec<String> = plan.forget.iter().map(|it| it.name_any()).collect();
    assert_eq!(names, ["tick-2", "tick-1", "bad-1"]);
    let wrong = cron_job(json!({"schedule": "often"}), json!({}));
    check(&wrong, &[], now, None, &["UnparseableSchedule"]);
    let nowhere = cron_job(json!({"timeZone": "Europe/Nowhere"}), json!({}));
    check(&nowhere, &[], now, None, &["UnknownTimeZone"]);
}

#[test]
fn a_schedule_goes_by_the_clocks_of_its_time_zone() {
    let of = |zone: &str| {
        let spec = json!({"schedule": "0 9 * * *", "timeZone": zone});
        cron_job(spec, json!({"lastScheduleTime": "2026-07-01T03:00:00Z"}))
    };
    let now = "2026-07-01T07:30:00Z";
    check(&of("Europe/Zurich"), &[], now, Some("2026-07-01T07:00:00Z"), &[]);
    check(&of("Etc/UTC"), &[], now, None, &[]);
}
