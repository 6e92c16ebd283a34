//! Schedules, worked out by hand: sessions of 100 MiB, cases of a few.

use super::*;

const MIB: u64 = 1 << 20;

/// One session of 100 MiB in a process of 150, which took 180 while it was loaded; on a GPU.
const FOOTPRINT: Footprint = Footprint { resident: 150 * MIB, session: 100 * MIB, peak: 180 * MIB, left: 100 * MIB };
/// The same on a processor.
const ON_PROCESSOR: Footprint = Footprint { left: 0, ..FOOTPRINT };

fn case(mib: u64) -> CaseNeed {
    CaseNeed {
        prepare: 4 * mib * MIB,
        image: mib * MIB,
        inference: mib * MIB,
        sums: 10 * mib * MIB,
        finish: 4 * mib * MIB,
    }
}

/// Loading takes as long as one member takes on a hundred cases: no member may be loaded twice.
const SLOW_LOADING: Pace = Pace { load: 100.0, inference: 9.0 };

fn plan(n_members: usize, n_cases: usize, mib: u64) -> Plan {
    Plan::new(FOOTPRINT, SLOW_LOADING, n_members, vec![case(mib); n_cases])
}

/// The schedule below `limit` MiB for at most two jobs, as sessions, chunk, jobs and loads.
fn check(plan: &Plan, limit: u64, expected: Option<(Loaded, usize, usize, usize)>) {
    let schedule = plan.schedule(limit * MIB, NonZeroUsize::new(2).unwrap());
    let found = schedule.map(|schedule| (schedule.sessions, schedule.chunk, schedule.jobs, plan.n_loads(schedule)));
    assert_eq!(found, expected, "{limit} MiB");
    assert!(schedule.is_none_or(|schedule| plan.peak(schedule) <= limit * MIB));
}

#[test]
fn the_peak_is_what_is_resident_and_what_comes_with_a_tenth_and_slack() {
    let peak = |sessions, chunk, jobs| plan(4, 9, 1).peak(Schedule { sessions, chunk, jobs }) / MIB;
    // Three more sessions, 30 of loading, one case of 4 + 1 + 1 + 10 + 4: 350 with a tenth, after 150 and 64.
    assert_eq!(peak(Loaded::All, 1, 1), 150 + 385 + 64);
    // As much as one more session is left; three cases of 1 + 10, one of 4 + 1 + 4: 172 with a tenth.
    assert_eq!(peak(Loaded::One, 3, 1), 150 + 189 + 64);
    // Two jobs share three cases as two and two: 100 + 30 + 2·4 + 3 + 1 + 4·10 + 2·4 = 190 with a tenth.
    assert_eq!(peak(Loaded::One, 3, 2), 150 + 209 + 64);
}

#[test]
fn a_case_that_is_alone_is_not_read_while_it_is_predicted() {
    let schedule = Schedule { sessions: Loaded::All, chunk: 1, jobs: 1 };
    let peak = |n_members, case| Plan::new(FOOTPRINT, SLOW_LOADING, n_members, vec![case]).peak(schedule) / MIB;
    // 30 of loading and 10 + 10·(10 + 4), without the 10 of inference: 180 with a tenth.
    assert_eq!(peak(1, case(10)), 150 + 198 + 64);
    // Two members: one more session, and inference beside the rest: 290 with a tenth.
    assert_eq!(peak(2, case(10)), 150 + 319 + 64);
    // Reading takes most: 30 and 400.
    assert_eq!(peak(1, CaseNeed { prepare: 400 * MIB, ..case(10) }), 150 + 473 + 64);
}

#[test]
fn sessions_stay_loaded_where_that_takes_less_than_a_chunk_of_cases() {
    // Of two members one more session, as may be left of one at a time.
    check(&plan(2, 9, 1), 10_000, Some((Loaded::All, 1, 2, 2)));
    // Four sessions with two jobs need 619 MiB, nine cases of 10 each 485.
    check(&plan(4, 9, 1), 10_000, Some((Loaded::One, 9, 2, 4)));
    // Four sessions with one job need 797 MiB, with two 995; nine cases of 100 each 1633.
    check(&plan(4, 9, 10), 10_000, Some((Loaded::All, 1, 2, 4)));
    check(&plan(4, 9, 10), 800, Some((Loaded::All, 1, 1, 4)));
}

#[test]
fn on_a_processor_nothing_is_left_of_sessions_that_are_gone() {
    let plan = |n_members| Plan::new(ON_PROCESSOR, SLOW_LOADING, n_members, vec![case(1); 9]);
    // 30 of loading, three cases of 1 + 10, one of 4 + 1 + 4: 72 with a tenth.
    let peak = plan(4).peak(Schedule { sessions: Loaded::One, chunk: 3, jobs: 1 }) / MIB;
    assert_eq!(peak, 150 + 79 + 64);
    // With two jobs, two sessions need 168 and a tenth, one and nine cases 156.
    check(&plan(2), 10_000, Some((Loaded::One, 9, 2, 2)));
}

#[test]
fn as_much_as_a_session_may_be_left_on_a_gpu() {
    let footprint = |provider| Footprint::since(0, provider).unwrap();
    let on_gpu = footprint(Provider::Cuda);
    assert!(on_gpu.session > 0 && on_gpu.left == on_gpu.session, "{on_gpu:?}");
    assert_eq!(footprint(Provider::Openvino).left, 0);
}

#[test]
fn more_members_take_no_more_memory_once_they_are_loaded_one_at_a_time() {
    let needed = |footprint, n_members| {
        let plan = Plan::new(footprint, SLOW_LOADING, n_members, vec![case(1); 9]);
        plan.peak(plan.schedule(u64::MAX, NonZeroUsize::MIN).unwrap())
    };
    assert!(needed(FOOTPRINT, 2) < needed(FOOTPRINT, 5));
    assert_eq!(needed(FOOTPRINT, 5), needed(FOOTPRINT, 30));
    assert!(needed(ON_PROCESSOR, 1) < needed(ON_PROCESSOR, 2));
    assert_eq!(needed(ON_PROCESSOR, 2), needed(ON_PROCESSOR, 30));
}

#[test]
fn a_chunk_is_as_small_as_the_time_of_loading_allows() {
    let chunk = |load, inference| {
        let plan = Plan::new(FOOTPRINT, Pace { load, inference }, 4, vec![case(1); 100]);
        plan.chunk_in_pace()
    };
    // A fiftieth of the time is half a load: every member is loaded once.
    assert_eq!(chunk(1.0, 25.0), 100);
    // One more load: two chunks of 50; three more: four of 25; and never less than a case.
    assert_eq!(chunk(1.0, 50.0), 50);
    assert_eq!(chunk(1.0, 199.0), 25);
    assert_eq!(chunk(1.0, 1e9), 1);
    assert_eq!(chunk(0.0, 1.0), 1);
    // Nothing was measured.
    assert_eq!(chunk(0.0, 0.0), 100);
    assert_eq!(Plan::new(FOOTPRINT, SLOW_LOADING, 4, Vec::new()).chunk_in_pace(), 1);
}

#[test]
fn else_every_member_is_loaded_once_for_as_many_cases_as_fit() {
    // Nine cases of one job need 476 MiB, of two 485.
    check(&plan(4, 9, 1), 480, Some((Loaded::One, 9, 1, 4)));
    // Three cases of one job need 403.2 MiB, of two jobs 423.
    check(&plan(4, 9, 1), 404, Some((Loaded::One, 3, 1, 12)));
}

#[test]
fn a_limit_that_nothing_keeps_is_refused_with_what_would_do() {
    let plan = plan(4, 9, 1);
    check(&plan, 378, None);
    let refusal = plan.within(378 * MIB, NonZeroUsize::MIN).unwrap_err();
    assert_eq!((mib(refusal.needed), mib(refusal.allowed), mib(refusal.resident)), (379, 378, 150));
    check(&plan, 379, Some((Loaded::One, 1, 1, 36)));
    let text = refusal.to_string();
    assert!(text.contains("needs up to 379 MiB") && text.contains("allows 378 MiB"), "{text}");
}

#[test]
fn one_large_case_counts_once_among_small_ones() {
    let mut needs = vec![case(1); 9];
    needs[4] = case(100);
    let plan = Plan::new(FOOTPRINT, SLOW_LOADING, 1, needs);
    let peak = |jobs| plan.peak(Schedule { sessions: Loaded::All, chunk: 1, jobs }) / MIB;
    // 30 of loading and 100·20; the second job has a case of 4 + 10 + 4.
    assert_eq!(peak(1), 150 + 2233 + 64);
    assert_eq!(peak(2), 150 + 2252 + 64);
}

#[test]
fn tables_of_the_kernel_are_in_kibibytes() {
    let status = "Name:\tunnunet\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
    assert_eq!((field(status, "VmHWM"), field(status, "VmRSS"), field(status, "Vm")), (Some(2 * MIB), Some(MIB), None));
}

#[test]
fn this_process_has_memory_and_had_more() {
    let resident = resident().unwrap();
    assert!(resident > 0 && resident <= peak().unwrap());
}
