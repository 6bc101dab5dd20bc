//! What evidence must hold: exact values, laws that no order of events may break, and error rates over many runs.

use proptest::prelude::*;

use super::*;
use crate::random::Random;

fn counts() -> impl Strategy<Value = Counts> {
    (0_u64..500)
        .prop_flat_map(|total| (Just(total), 0..=total))
        .prop_map(|(t, b)| Counts::new(t, b))
}

fn intervals() -> impl Strategy<Value = Vec<(Counts, Counts)>> {
    proptest::collection::vec((counts(), counts()), 0..20)
}

fn errors_of(intervals: &[(Counts, Counts)]) -> RelativeRisk {
    let mut test = RelativeRisk::above(1.0, &RelativeRisk::ERRORS);
    intervals.iter().for_each(|(canary, primary)| test.observe(*canary, *primary));
    test
}

#[test]
fn mirrored_pairs_give_the_published_values() {
    let e = |canary_only, primary_only| {
        let mut test = Paired::default();
        test.observe(canary_only, primary_only);
        test.log_e(0.5).exp()
    };
    let all_canary =
        [(5, 10.5), (6, 18.1), (7, 31.9), (8, 56.8), (9, 102.3), (10, 186.1), (12, 630.0)];
    for (n, expect) in all_canary {
        assert!((e(n, 0) / expect - 1.0).abs() < 5e-3, "{n}: {}", e(n, 0));
    }
    assert!(
        (e(9, 0) - 102.3).abs() < 0.05 && (e(12, 1) - 89.94).abs() < 0.01,
        "{} {}",
        e(9, 0),
        e(12, 1)
    );
    assert!((e(0, 0) - 1.0).abs() < 1e-12);
}

proptest! {
    /// What makes it evidence: where the true share is the fair one, the next pair changes nothing on average; where it is less, evidence falls.
    #[test]
    fn pairs_are_fair_bets(
        canary_only in 0_u64..300,
        primary_only in 0_u64..300,
        fair in 0.3_f64..0.9,
        part in 0.0_f64..=1.0,
    ) {
        let e = |canary, primary| {
            let mut test = Paired::default();
            test.observe(canary, primary);
            test.log_e(fair)
        };
        let now = e(canary_only, primary_only);
        let worse = (e(canary_only + 1, primary_only) - now).exp();
        let better = (e(canary_only, primary_only + 1) - now).exp();
        let next = |share: f64| share * worse + (1.0 - share) * better;
        prop_assert!((next(fair) - 1.0).abs() < 1e-6, "{}", next(fair));
        prop_assert!(next(fair * part) <= 1.0 + 1e-6);
    }
}

#[test]
fn copies_that_wait_behind_their_originals_are_no_evidence_and_slow_ones_are() {
    let evidence = |canary_slower, primary_slower| {
        let mut sequential = Sequential::new(Policy { mirrored: true, ..Policy::default() });
        // The first copies meet cold caches.
        sequential.observe_mirror(&MirrorInterval { pairs: 1_000, ..MirrorInterval::default() });
        sequential.observe_mirror(&MirrorInterval {
            pairs: 1_000,
            canary_slower,
            primary_slower,
            ..MirrorInterval::default()
        });
        sequential.log_e()
    };
    let needed = 100_f64.ln();
    // Seen on a machine whose processors other work took.
    for (canary, primary) in [(52, 17), (30, 7), (300, 100)] {
        assert!(
            evidence(canary, primary) < 1.0,
            "{canary}:{primary} {}",
            evidence(canary, primary)
        );
    }
    // Three times slower, where a request's p99 is four times its median.
    assert!(evidence(94, 6) > needed, "{}", evidence(94, 6));
    assert!(evidence(40, 0) > needed, "{}", evidence(40, 0));
}

#[test]
fn evidence_of_errors_follows_its_formula() {
    // ρ = ¼; one error of the canary and two of the primary, for r = 2: ln(2/1.25) − 2 ln 1.25.
    let mut test = RelativeRisk::above(1.0, &[2.0]);
    test.observe(Counts::new(25, 1), Counts::new(75, 2));
    assert!((test.log_e() - ((2.0_f64 / 1.25).ln() - 2.0 * 1.25_f64.ln())).abs() < 1e-12);
    // The gate is its mirror image.
    let mut gate = RelativeRisk::below(2.0, 1.0);
    gate.observe(Counts::new(25, 1), Counts::new(75, 2));
    assert!((gate.log_e() + test.log_e()).abs() < 1e-12);
}

#[test]
fn silence_is_evidence_of_nothing() {
    let mut sequential =
        Sequential::new(Policy { ceiling: Some(0.01), mirrored: true, ..Policy::default() });
    for _ in 0..100_000 {
        sequential.observe(&Interval::default());
        sequential.observe_mirror(&MirrorInterval::default());
    }
    assert_eq!((sequential.log_e(), sequential.verdict()), (0.0, Verdict::Inconclusive));
}

#[test]
fn an_incident_that_strikes_both_versions_is_no_evidence() {
    let mut sequential = Sequential::new(Policy { quantiles: vec![], ..Policy::default() });
    let arm = |total| Arm { counts: Counts::new(total, total / 2), ..Arm::default() };
    for _ in 0..50 {
        sequential.observe(&Interval { canary: arm(20), primary: arm(180) });
    }
    assert!(sequential.log_e() < 0.0, "{}", sequential.log_e());
    assert_eq!(sequential.verdict(), Verdict::GoOn);
    // Only a ceiling ends it.
    let mut guarded = Sequential::new(Policy { ceiling: Some(0.05), ..Policy::default() });
    guarded.observe(&Interval { canary: arm(20), primary: arm(180) });
    assert_eq!(guarded.verdict(), Verdict::Abort);
}

#[test]
fn a_verdict_of_abort_is_kept_although_the_evidence_fades() {
    let mut sequential = Sequential::new(Policy::default());
    let arm = |total, bad| Arm { counts: Counts::new(total, bad), ..Arm::default() };
    sequential.observe(&Interval { canary: arm(10, 8), primary: arm(90, 0) });
    assert_eq!(sequential.verdict(), Verdict::Abort);
    for _ in 0..100 {
        sequential.observe(&Interval { canary: arm(10, 0), primary: arm(90, 9) });
    }
    assert!(sequential.log_e() < 0.0);
    assert_eq!(sequential.verdict(), Verdict::Abort);
}

#[test]
fn what_copies_showed_counts_on_when_users_come() {
    let mirrored = Policy { mirrored: true, gate: None, ..Policy::default() };
    let arm = |total, bad| Arm { counts: Counts::new(total, bad), ..Arm::default() };
    let copies = MirrorInterval { pairs: 139, canary_failed: 9, ..MirrorInterval::default() };
    let steps = [
        Interval { canary: arm(22, 0), primary: arm(73, 0) },
        Interval { canary: arm(30, 2), primary: arm(64, 0) },
        Interval { canary: arm(67, 9), primary: arm(27, 0) },
    ];
    let verdict = |copies: &[MirrorInterval], users: &[Interval]| {
        let mut sequential = Sequential::new(mirrored.clone());
        copies.iter().for_each(|it| sequential.observe_mirror(it));
        users.iter().for_each(|it| sequential.observe(it));
        sequential.verdict()
    };
    // Neither is enough alone, together they are.
    assert_eq!(verdict(&[copies], &[]), Verdict::Inconclusive);
    assert_eq!(verdict(&[], &steps), Verdict::GoOn);
    assert_eq!(verdict(&[copies], &steps), Verdict::Abort);
    // Nor do copies that fared well silence users.
    let mut sequential = Sequential::new(mirrored);
    sequential.observe_mirror(&MirrorInterval {
        pairs: 1_000,
        primary_failed: 100,
        ..MirrorInterval::default()
    });
    sequential.observe(&Interval { canary: arm(10, 8), primary: arm(90, 0) });
    assert_eq!(sequential.verdict(), Verdict::Abort);
}

#[test]
fn evidence_says_what_would_change_the_verdict() {
    let mut sequential = Sequential::new(Policy::default());
    let arm = |total, bad| Arm { counts: Counts::new(total, bad), ..Arm::default() };
    sequential.observe(&Interval { canary: arm(50, 1), primary: arm(450, 1) });
    let evidence = sequential.evidence();
    assert_eq!(
        evidence.outlook,
        [
            "3 more errors of the canary in a row, with none of the primary, would abort",
            "50 more units must reach the canary before it may be promoted",
            "about 33643 more units of both versions are needed to rule out 2 times the primary's error rate, if they are \
             equally good",
        ]
    );
    // And it is true.
    let mut two = sequential.clone();
    two.observe(&Interval { canary: arm(50, 2), primary: arm(450, 0) });
    assert_eq!(two.verdict(), Verdict::Inconclusive);
    sequential.observe(&Interval { canary: arm(50, 3), primary: arm(450, 0) });
    assert_eq!(sequential.verdict(), Verdict::Abort);
}

proptest! {
    #[test]
    fn evidence_begins_at_one(null in 1.0_f64..3.0) {
        prop_assert_eq!(RelativeRisk::above(null, &RelativeRisk::ERRORS).log_e(), 0.0);
    }

    #[test]
    fn a_relative_risk_of_one_is_no_bet(intervals in intervals()) {
        let mut test = RelativeRisk::below(1.0, 1.0);
        intervals.iter().for_each(|(canary, primary)| test.observe(*canary, *primary));
        prop_assert!(test.log_e().abs() < 1e-9);
    }

    #[test]
    fn one_error_more_of_the_canary_never_lowers_evidence_and_of_the_primary_never_raises_it(
        intervals in intervals(),
        canary in counts(),
        primary in counts(),
    ) {
        let after = |c: Counts, p: Counts| {
            let mut test = errors_of(&intervals);
            test.observe(c, p);
            test.log_e()
        };
        let worse = |it: Counts| Counts::new(it.total, (it.bad + 1).min(it.total));
        let base = after(canary, primary);
        prop_assert!(after(worse(canary), primary) >= base - 1e-9);
        prop_assert!(after(canary, worse(primary)) <= base + 1e-9);
    }

    #[test]
    fn the_order_of_intervals_does_not_matter(intervals in intervals()) {
        let reversed: Vec<_> = intervals.iter().rev().copied().collect();
        let (a, b) = (errors_of(&intervals).log_e(), errors_of(&reversed).log_e());
        prop_assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0));
    }

    #[test]
    fn an_interval_that_reached_one_version_only_says_nothing(intervals in intervals(), counts in counts()) {
        let mut test = errors_of(&intervals);
        let before = test.log_e();
        test.observe(counts, Counts::default());
        test.observe(Counts::default(), counts);
        prop_assert_eq!(test.log_e(), before);
    }

    #[test]
    fn evidence_goes_on_where_it_was_stored(intervals in intervals(), cut in 0_usize..20) {
        let arm = |counts| Arm { counts, ..Arm::default() };
        let feed = |test: &mut Sequential, part: &[(Counts, Counts)]| {
            for (canary, primary) in part {
                test.observe(&Interval { canary: arm(*canary), primary: arm(*primary) });
            }
        };
        let mut whole = Sequential::new(Policy { ceiling: Some(0.2), ..Policy::default() });
        let mut first = whole.clone();
        feed(&mut whole, &intervals);
        let (before, after) = intervals.split_at(cut.min(intervals.len()));
        feed(&mut first, before);
        let stored = serde_json::to_string(&first).unwrap();
        let mut second: Sequential = serde_json::from_str(&stored).unwrap();
        feed(&mut second, after);
        prop_assert!((second.log_e() - whole.log_e()).abs() <= 1e-9 * whole.log_e().abs().max(1.0));
        prop_assert_eq!(second.canary(), whole.canary());
    }
}

/// The share of runs in which `run` says yes; `run` gets its own generator.
fn share(runs: u64, mut run: impl FnMut(&mut Random) -> bool) -> f64 {
    let hits = (0..runs).filter(|seed| run(&mut Random::new(*seed))).count();
    hits as f64 / runs as f64
}

/// Whether evidence ever reaches 1/α in 80 intervals of 5 and 20 units, with bad outcomes of `p` and `r·p`.
fn ever(random: &mut Random, mut test: RelativeRisk, p: f64, r: f64, alpha: f64) -> bool {
    (0..80).any(|_| {
        let canary = Counts::new(5, random.binomial(5, p * r));
        let primary = Counts::new(20, random.binomial(20, p));
        test.observe(canary, primary);
        test.log_e() >= -f64::ln(alpha)
    })
}

#[test]
fn false_alarms_stay_below_alpha_however_often_one_looks() {
    let runs = 600;
    let (alpha, slack) = (0.05_f64, 3.0 * (0.05_f64 * 0.95 / 600.0).sqrt());
    for p in [0.3, 0.05] {
        let alike = || RelativeRisk::above(1.0, &RelativeRisk::ERRORS);
        let rate = share(runs, |random| ever(random, alike(), p, 1.0, alpha));
        assert!(rate <= alpha + slack, "r=1, p={p}: {rate}");
        let tolerated = || RelativeRisk::above(1.5, &RelativeRisk::ERRORS);
        let rate = share(runs, |random| ever(random, tolerated(), p, 1.5, alpha));
        assert!(rate <= alpha + slack, "r=1.5, p={p}: {rate}");
        let gate = || RelativeRisk::below(2.0, 1.0);
        let rate = share(runs, |random| ever(random, gate(), p, 2.0, alpha));
        assert!(rate <= alpha + slack, "gate at r=2, p={p}: {rate}");
    }
}

#[test]
fn false_alarms_stay_below_alpha_where_copies_come_before_users() {
    let (alpha, runs) = (0.05_f64, 600);
    let policy = Policy { alpha, mirrored: true, quantiles: vec![], ..Policy::default() };
    let rate = share(runs, |random| {
        let mut sequential = Sequential::new(policy.clone());
        for _ in 0..40 {
            let mut failed = || random.binomial(20, 0.1);
            let (canary_failed, primary_failed) = (failed(), failed());
            let pairs =
                MirrorInterval { pairs: 20, canary_failed, primary_failed, ..Default::default() };
            sequential.observe_mirror(&pairs);
        }
        for _ in 0..80 {
            let mut arm = |total| Arm {
                counts: Counts::new(total, random.binomial(total, 0.1)),
                ..Arm::default()
            };
            sequential.observe(&Interval { canary: arm(5), primary: arm(20) });
        }
        sequential.is_abort()
    });
    let slack = 3.0 * (alpha * (1.0 - alpha) / runs as f64).sqrt();
    assert!(rate > 0.0 && rate <= alpha + slack, "{rate}");
}

#[test]
fn a_canary_that_is_worse_is_found() {
    let test = || RelativeRisk::above(1.0, &RelativeRisk::ERRORS);
    let rate = share(200, |random| ever(random, test(), 0.05, 6.0, 0.01));
    assert!(rate > 0.95, "{rate}");
}

/// Whether a service with one version is ever aborted when a session that fails sends ten requests that fail.
fn burst(random: &mut Random, unit: Unit) -> bool {
    let mut sequential = Sequential::new(Policy { quantiles: vec![], ..Policy::default() });
    (0..400_u64).any(|second| {
        let mut arms = [Vec::new(), Vec::new()];
        let mut requests = [Arm::default(), Arm::default()];
        for number in 0..10 {
            let arm = usize::from(random.chance(0.75));
            let failed = random.chance(0.01);
            arms[arm].push(Session { id: second * 10 + number, failed, latency: None });
            requests[arm].counts.add(Counts::new(10, if failed { 10 } else { 0 }));
        }
        let [canary, primary] = requests;
        match unit {
            Unit::Session => sequential.observe_sessions(&arms[0], &arms[1]),
            Unit::Request => sequential.observe(&Interval { canary, primary }),
        }
        sequential.is_abort()
    })
}

#[test]
fn sessions_that_fail_ten_times_are_one_bad_experience() {
    let by_session = share(300, |random| burst(random, Unit::Session));
    assert!(by_session <= 0.01 + 3.0 * (0.01_f64 * 0.99 / 300.0).sqrt(), "{by_session}");
    let by_request = share(300, |random| burst(random, Unit::Request));
    assert!(by_request > 0.1, "the test would not notice the difference: {by_request}");
}

#[test]
fn slower_answers_are_found_and_equal_ones_are_not() {
    let found = |factor: f64| {
        share(60, |random| {
            let mut test = SlowEvents::new(&[0.5, 0.9, 0.99], 1.0);
            (0..60).any(|_| {
                let [mut canary, mut primary] = [Histogram::default(), Histogram::default()];
                (0..10).for_each(|_| canary.record(random.log_normal(50.0 * factor, 0.6)));
                (0..90).for_each(|_| primary.record(random.log_normal(50.0, 0.6)));
                test.observe(&canary, &primary);
                test.log_e() >= -(0.01_f64.ln())
            })
        })
    };
    assert!(found(1.0) <= 0.04, "{}", found(1.0));
    assert!(found(1.5) >= 0.98, "{}", found(1.5));
}
