/* Who may write: the writer protocol, for the Spin model checker. README.md says how to run and read it.
 *
 * EAST is the writer region, WEST the standby region. The story: a previous run commits EAST as the writer (epoch 1);
 * two guardians keep EAST's lease; two runs in WEST, started whenever they like, move the writer to WEST (epoch 2).
 * Everything may happen at any moment between two steps: a call without an answer, a write whose answer is lost, a
 * guardian or a run that sleeps (and goes on), dies (and never goes on) or starts anew. One step is one line of a `do`.
 * A step that changes the record names its row of the table in handlers/core/transitions.py in the comment above it.
 * The whole model is large. Checked with every change are its two parts, -DNO_STOPS and -DNO_WORDS; README.md says why
 * nothing is lost. Who gets the lock, and when a lock ends, is in locks.pml.
 */
/* Rules of the protocol that -DMUTATION=<name> takes away; 0 takes nothing away. */
#define NO_MARGIN                  1  /* a run trusts that its clock is the guardian's */
#define NO_EXPIRY_CHECK            2  /* a run does not wait for the lease to end */
#define COMMIT_WITHOUT_LEASE_CHECK  3  /* a run moves on though the lease was renewed after it looked */
#define RENEW_WHILE_MOVING         4  /* a guardian renews though a run has moved on */
#define NO_EPOCH_CONDITION         5  /* a write counts though the record's epoch is not the one that was read */
#define FENCE_LATE                 6  /* a guardian begins to fence a second too late */
#define DEAD_GUARDIAN              7  /* not a mutation but the limit: no guardian runs while the database does */
#define LEASE_MAY_SHRINK           8  /* a late renewal replaces a longer lease */
#define LIFT_ANY_FENCE             9  /* a lift does not name the fence that it lifts */
#define LIFT_ANY_TIME             10  /* a lift that comes late still lifts */
#define FENCE_SQL_ONLY            11  /* a database that does not answer is not fenced from outside */
#define START_TRUSTS_LEASE        12  /* a starting guardian that can read nothing takes a whole lease for granted */
#define FIRST_LEASE_BY_RUN        13  /* the commit writes the first lease of the epoch */
#define CLOCK_BEFORE_READ         14  /* a renewal counts from before its guardian read the record */
#define TAKEOVER_STARTS_OVER      15  /* a run that takes the lock over begins again, whatever has been done */
#define RELEASE_WHILE_MOVING      16  /* a run gives the lock back though a request to move the writer is noted */
#define FENCE_BEFORE_STOPPING     17  /* a switchover fences before the record forbids to renew */
#define STOP_WITHOUT_FENCE        18  /* a switchover moves on before the old writer is fenced */
#define REQUEST_NOT_NOTED         19  /* a run asks to move the writer without a note of it in the record */
#define REFUSAL_CLEARS_ALL        20  /* a request that is refused takes back the notes of other requests */
#define REQUEST_WHILE_RESTING     21  /* a run does not wait for the end of the guardian's word */
#define FENCED_TOO_SOON           22  /* a guardian says that it has fenced before it has */
#define FENCED_FOR_EVER           23  /* that it has fenced is remembered when the move is over */
#define WORD_TAKEN_BACK           24  /* a guardian that has fenced takes its word back */
#define WORD_MAY_SHRINK           25  /* a late word replaces a longer one */
#define RENEWAL_SHORTENS_WORD     26  /* a renewal removes a word that lasts longer than its lease */
#define REST_BY_READING           27  /* a guardian rests because it reads the record, without a word in it */
#define CLOSE_WITHOUT_REBOOT      28  /* a database that does not answer is closed, but its sessions go on */
#define TRUSTS_OLD_LOOK           29  /* a guardian does not fence because it has once seen a fence */
#define LIFT_WITHOUT_RENEWAL      30  /* a lease that is known, and not renewed by this guardian, earns a lift */
#define END_STOP_MOVED            31  /* a guardian ends a stop though the run has moved on */
#define END_MOVE_NOTED            32  /* a guardian ends a move though a request is noted */
#define TAKE_BACK_WITHOUT_WAIT    33  /* a run that is refused does not wait for a lease that was renewed since */
#define MOVE_OF_OTHER_STOP        34  /* a run moves on in another stop than the one in which it saw the fence */
#define REST_TOO_SHORT            35  /* a word does not last until its guardian's next one */
#define FIRST_TICK_FENCES         36  /* a guardian that starts fences before it has read the record */
#define DOWN_FENCES               37  /* a guardian that cannot renew fences, though it reads the record */
#define MAINTENANCE_RESTS         38  /* a guardian that has read of a maintenance rests until its end, word or none */
#ifndef MUTATION
#define MUTATION 0
#endif
#define without(rule) (MUTATION == rule)

#ifndef LEASE                               /* seconds, as all that follows: production's, but for its lease of 10 */
#define LEASE 5
#endif
#define TICK 2                              /* the longest between two looks of a guardian at its clock */
#define FENCE_TIME 1                        /* the longest that a fence takes, sessions ended */
#define FENCE_BEFORE (without(FENCE_LATE) -> 2 : TICK + FENCE_TIME)
#define CLOCK_ERROR 1                       /* the largest difference of any two clocks */
#define CLOCK_MARGIN (without(NO_MARGIN) -> 0 : CLOCK_ERROR)
#ifndef REST                                /* how long a word lets its guardian rest; production's is 7 */
#define REST 5
#endif
#define LONG_AGO (-2)                       /* a lease that ended so long ago that it does not matter when */
#define NO_WORD (-1)                        /* no word, or one that ended so long ago that it does not matter when */
#define NO_LEASE (TICK + FENCE_TIME - 1)    /* what a guardian knows when it knows no lease: it has to fence */

mtype:region = { east, west };
mtype:phase = { unlocked, checking, stopping, moving };
mtype:guarding = { awake, renewing, lifting };
mtype:running = { idle, waiting, to_move, to_fence, to_move_fenced, to_request, to_detach, to_commit, ended };

/* The control record: changed by conditional writes only, so a step reads it, decides and writes it at once. */
mtype:region writer = west;
byte epoch;
mtype:phase phase = moving;
byte requests;                              /* how many requests to move the writer are noted; 2 is two or more */
byte holder = 9;                            /* the run that holds the lock: 9 is the previous run, 0 nobody */
bool leased;                                /* is there a lease? There is none from a commit to the first renewal */
short rest = NO_WORD;                       /* seconds until the guardian's word ends, by true time */
bool says_fenced;                           /* while a run moves: a guardian that gave its word has fenced */
short lease = LONG_AGO;                     /* seconds until it ends, by true time; unleased: as if from the commit */

/* EAST's database takes writes unless fenced. Whether it is up is not told, for it may come back at any moment. */
bool fenced;
bool promoted;                              /* WEST's database takes writes */
byte name_moved;                            /* the name leads 0: all clients to EAST, 1: some to WEST, 2: all */

mtype:guarding guardian[2] = awake;
short known[2] = NO_LEASE;                  /* seconds until the lease ends that this guardian knows of */
bool other_fence[2];                        /* fenced anew by SQL since this guardian read which fence stands? */
bool saw_fence[2];                          /* has it ever seen a fence? Only TRUSTS_OLD_LOOK asks */
bool slept_through_epochs;                  /* guardian 1 slept since an older epoch of EAST as the writer */
byte unguarded;                             /* seconds since a guardian looked at its clock, and had fenced if due */

mtype:running at[2] = idle;
bool other_stop[2];                         /* has the stop ended, or begun anew, in which this run saw the fence? */
byte run_name[2];

/* The promises: each is true for ever, or an assertion of its name fails. */
bool P1_one_writer = true, P1_one_writer_by_name = true, P2_one_move = true, P2_one_run = true;
bool P3_lock_given_back = true, P10_harmless = true, I3_live_lease_vetoes = true;

inline check_writers() {
#ifndef BY_NAME_ONLY
  P1_one_writer = !(promoted && !fenced); assert(P1_one_writer);
#endif
  P1_one_writer_by_name = !(promoted && !fenced && name_moved == 1); assert(P1_one_writer_by_name)
}

/* With -DHARMLESS there is one guardian and no run: it and its successors read and write the record in every tick, and
   the database may be in any state. */
#ifdef HARMLESS
#define MAY_FAIL false
#define END_AT_LEAST(whole) (end < whole - 1 -> whole - 1 : end)
#else
#define MAY_FAIL true
#define END_AT_LEAST(whole) end
#endif

/* ---- time: passes only while EAST is guarded, and until nothing depends on it any more ---- */
#ifdef HARMLESS
#define TIME_MAY_PASS (unguarded < TICK)    /* no tick is late */
#else
#define TIME_MAY_PASS ((unguarded < TICK + FENCE_TIME || without(DEAD_GUARDIAN)) && \
  (lease > LONG_AGO || rest > NO_WORD || known[0] > NO_LEASE || known[1] > NO_LEASE || unguarded < TICK + FENCE_TIME))
#endif
inline pass(t, floor) { t = (t > floor -> t - 1 : floor) }

proctype Clock() {
  do
  :: d_step { TIME_MAY_PASS ->
       pass(lease, LONG_AGO); pass(rest, NO_WORD); pass(known[0], NO_LEASE); pass(known[1], NO_LEASE);
       unguarded = (unguarded < TICK + FENCE_TIME -> unguarded + 1 : unguarded);
       printf("                         a second passes (%d s of the lease are left)\n", lease) }
  od
}

/* ---- the previous run's last step ---- */
#define MOVES_TO_EAST (epoch == 0)
#define MUST_FENCE ((known[g] - CLOCK_ERROR < FENCE_BEFORE && \
                      (known[g] != NO_LEASE || MAY_FAIL || without(FIRST_TICK_FENCES))) || \
                    (!MOVES_TO_EAST && (writer == west || phase == stopping || phase == moving)))
proctype PreviousRun() {
  /* row: commit_failover */
  /* row: commit_switchover */
  d_step { writer = east; epoch = 1; phase = unlocked; holder = 0; lease = LEASE;
    leased = without(FIRST_LEASE_BY_RUN); lease = (leased -> 0 : lease);    /* it slept after it looked at its clock */
    printf("previous run             commits: EAST is the writer of epoch 1\n") }
}

/* ---- a guardian of EAST ---- */
#define MAY_RENEW (writer == east && (phase == unlocked || phase == checking || without(RENEW_WHILE_MOVING)))
#define MAY_SAY (writer == east && (phase == unlocked || phase == checking))
#define WITHIN_LEASE(end) (leased && end <= lease && MAY_FAIL)    /* a word that ends there is as good as none */
#define RESTS (without(REST_TOO_SHORT) -> REST - 1 : REST)
#define OTHER_EPOCH (g == 1 && slept_through_epochs && !without(NO_EPOCH_CONDITION))
#define MAY_LIFT (fenced && (!other_fence[g] || without(LIFT_ANY_FENCE)) && \
                  (known[g] > FENCE_BEFORE + CLOCK_MARGIN || without(LIFT_ANY_TIME)))

inline lock(next) {                         /* the phase changes: a stop in which a run has seen the fence is over */
  phase = next; says_fenced = (says_fenced && without(FENCED_FOR_EVER));
  other_stop[0] = (at[0] == to_move_fenced); other_stop[1] = (at[1] == to_move_fenced)
}
inline unlock() { lock(unlocked); holder = 0; requests = 0 }

inline next_tick() {
  guardian[g] = awake; other_fence[g] = false;
  slept_through_epochs = (g == 1 -> false : slept_through_epochs)
}
inline guard() { unguarded = (MAY_FAIL -> 0 : unguarded) }
inline know(end) { known[g] = (end > NO_LEASE -> end : NO_LEASE); unguarded = (MAY_FAIL -> unguarded : 0) }
inline rest_until(end) {
  known[g] = (end > known[g] && !without(DOWN_FENCES) -> end : known[g]); unguarded = (MAY_FAIL -> unguarded : 0)
}
inline fence_by_sql() {                     /* a new fence, with an identity of its own, even when one stands already */
  fenced = true;
  other_fence[0] = (guardian[0] == renewing || guardian[0] == lifting);
  other_fence[1] = (guardian[1] == renewing || guardian[1] == lifting)
}
inline wait_again(r) {                      /* the lease is not the one that this run has seen end */
  at[r] = (at[r] == to_move && !without(COMMIT_WITHOUT_LEASE_CHECK) -> waiting : at[r])
}
inline renew() {                            /* to LEASE after some moment since this guardian read the record */
  end = (leased -> lease + 1 : lease);
  end = (rest >= end && !without(RENEWAL_SHORTENS_WORD) -> rest + 1 : end);
  if
  :: (g == 1 && slept_through_epochs) || (!leased && without(CLOCK_BEFORE_READ)) -> end = LONG_AGO
  :: leased && lease == LEASE && without(LEASE_MAY_SHRINK) -> end = LEASE - 1
  :: else
  fi;
  end = END_AT_LEAST(LEASE);
  do :: end < LEASE + CLOCK_ERROR -> end++ :: break od;
  lease = end; leased = true; rest = NO_WORD; end = 0;
  wait_again(0); wait_again(1)
}
inline say() {                              /* to REST after some moment since this guardian read its clock */
  end = (rest == REST && without(WORD_MAY_SHRINK) -> REST - 1 : rest + 1);
  end = (WITHIN_LEASE(end) -> lease + 1 : end);
  end = END_AT_LEAST(RESTS);
  do :: end < RESTS + CLOCK_ERROR -> end++ :: break od;
  rest = end; end = 0
}

proctype Guardian(byte g) {
  short end;
  do
  /* First the clock, before any call that could hang; when clocks differ both may be true. A fence that is due is put
     up by SQL and from outside, beside each other; the database may not answer to SQL. */
  :: d_step { guardian[g] == awake && unguarded > 0 && known[g] >= FENCE_BEFORE -> guard();
       printf("guardian %d               looks at its clock: it may rest\n", g) }
  :: d_step { guardian[g] == awake && unguarded > 0 && (fenced || saw_fence[g]) -> guard();
       saw_fence[g] = without(TRUSTS_OLD_LOOK);
       printf("guardian %d               sees that a fence stands\n", g) }
  :: d_step { guardian[g] == awake && MUST_FENCE && !fenced -> P10_harmless = MAY_FAIL; assert(P10_harmless);
       fence_by_sql(); guard();
       printf("guardian %d               has fenced\n", g) }
  :: d_step { guardian[g] == awake && MUST_FENCE && !fenced ->
       fenced = !(without(FENCE_SQL_ONLY) || without(CLOSE_WITHOUT_REBOOT)); guard();
       printf("guardian %d               could not fence by SQL: has closed and rebooted the database\n", g) }
  /* Then the record, or the lease noted in the database's heartbeat row. (Without LEASE_MAY_SHRINK nothing is known
     before the commit, so that only the shrinking can be what fails.) */
  :: d_step { guardian[g] == awake && MOVES_TO_EAST && !without(LEASE_MAY_SHRINK) -> known[g] = LEASE;
       printf("guardian %d               reads that the writer moves here: as good as a lease\n", g) }
  :: d_step { guardian[g] == awake && writer == east && ((leased && lease > known[g]) || rest > known[g]) ->
       known[g] = (leased && lease > known[g] -> lease : known[g]);
       known[g] = (rest > known[g] && !without(DOWN_FENCES) -> rest : known[g]);
       printf("guardian %d               learns of the lease, or of a word\n", g) }
  :: d_step { guardian[g] == awake && MAY_RENEW -> guardian[g] = renewing;
       printf("guardian %d               reads the record, looks at the database and which fence stands\n", g) }
#if MUTATION == REST_BY_READING
  :: d_step { guardian[g] == awake && MAY_RENEW && known[g] < REST -> known[g] = REST;
       printf("guardian %d               reads the record: rests\n", g) }
#endif
#if MUTATION == MAINTENANCE_RESTS
  :: d_step { guardian[g] == awake && unguarded > 0 -> guard();
       printf("guardian %d               rests: its writer is being maintained\n", g) }
#endif
#if MUTATION == LIFT_WITHOUT_RENEWAL
  :: d_step { guardian[g] == awake && known[g] > FENCE_BEFORE + CLOCK_MARGIN -> guardian[g] = lifting;
       printf("guardian %d               looks which fence stands\n", g) }
#endif
#ifndef NO_WORDS
  /* It cannot renew, for it sees no healthy database: its word, in which it may trust when it has the answer. */
  /* row: give_word */
  :: atomic { guardian[g] == awake && MAY_SAY && rest < RESTS + CLOCK_ERROR && !WITHIN_LEASE(RESTS + CLOCK_ERROR) ->
       say();
       if
       :: rest_until(rest); printf("guardian %d               gives its word: rests for %d s\n", g, rest)
       :: MAY_FAIL -> printf("guardian %d               gives its word: %d s, but the answer is lost\n", g, rest)
       fi }
  /* row: sign_of_life */
  :: d_step { guardian[g] == awake && phase == moving && rest > NO_WORD && !says_fenced &&
       (fenced || without(FENCED_TOO_SOON)) ->
       says_fenced = true; rest = (without(WORD_TAKEN_BACK) -> NO_WORD : rest);
       printf("guardian %d               says that it has fenced\n", g) }
#endif
  /* A lock that stops or moves the writer for too long, as it seems: what is known of its time is left out. */
#ifndef NO_STOPS
  /* row: end_stop */
  :: d_step { guardian[g] == awake && writer == east &&
       (phase == stopping || (phase == moving && without(END_STOP_MOVED))) -> unlock();
       printf("guardian %d               ends the stop\n", g) }
#endif
  /* row: end_move */
  :: d_step { guardian[g] == awake && writer == east && phase == moving && (requests == 0 || without(END_MOVE_NOTED)) ->
       unlock();
       printf("guardian %d               ends the move\n", g) }
  /* The conditional write: never replaces a longer lease or word, nor the lease of another epoch. */
  /* row: renew */
  /* row: renew_unknown */
  :: atomic { guardian[g] == renewing && MAY_RENEW && !OTHER_EPOCH &&
       (!leased || lease < LEASE + CLOCK_ERROR) && rest < LEASE + CLOCK_ERROR ->
       renew();
       if
       :: know(lease); guardian[g] = lifting; printf("guardian %d               renews: %d s\n", g, lease)
       :: MAY_FAIL -> next_tick(); printf("guardian %d               renews: %d s, but the answer is lost\n", g, lease)
       fi }
  :: d_step { guardian[g] == renewing && MAY_FAIL -> next_tick();
       printf("guardian %d               does not renew: no answer, or the condition fails\n", g) }
  /* Only a renewal earns a lift; the database judges its fence and its time, in the statement that lifts. */
  :: d_step { guardian[g] == lifting && MAY_LIFT -> fenced = false; check_writers(); next_tick();
       printf("guardian %d               lifts the fence\n", g) }
  :: d_step { guardian[g] == lifting -> next_tick();
       printf("guardian %d               has nothing to lift, or may not\n", g) }
  :: d_step { guardian[g] != awake || known[g] != NO_LEASE ->
       next_tick(); known[g] = (without(START_TRUSTS_LEASE) -> LEASE : NO_LEASE);
       printf("guardian %d               dies; a new one starts\n", g) }
  od
}

#ifdef BY_NAME_ONLY
/* ---- the name: follows the record, some time later, and not for all clients at once ---- */
proctype Name() {
  do
  /* row: engage_dns */
  :: d_step { name_moved < 2 && !MOVES_TO_EAST && (phase == moving || writer == west) ->
       name_moved++; check_writers();
       printf("name                     leads %d of 2 clients to WEST\n", name_moved) }
  od
}
#endif

/* ---- a run in WEST ---- */
#define MINE (holder == run_name[r])
#define SAME_EPOCH (epoch == 1 || (epoch == 2 && without(NO_EPOCH_CONDITION)))
#define REST_OVER (rest < CLOCK_ERROR - CLOCK_MARGIN || says_fenced || without(REQUEST_WHILE_RESTING))
#define LEASE_OVER (lease < CLOCK_ERROR - CLOCK_MARGIN || without(NO_EXPIRY_CHECK))
#define MAY_MOVE (MINE && SAME_EPOCH && phase != moving)
#define MAY_MOVE_FENCED (MAY_MOVE && (phase == stopping || without(FENCE_BEFORE_STOPPING)) && \
                         (!other_stop[r] || without(MOVE_OF_OTHER_STOP)))

inline finish() {
  P3_lock_given_back = !(holder && MINE); assert(P3_lock_given_back);
  at[r] = ended; other_stop[r] = false; run_name[r] = 0
}
inline leave() {                            /* give the lock back, unless the way leads only forward */
  if
  :: MINE && requests > 0 && !without(RELEASE_WHILE_MOVING) -> at[r] = to_request
  /* row: release */
  :: MINE && (requests == 0 || without(RELEASE_WHILE_MOVING)) -> unlock(); finish()
  :: else -> finish()
  fi
}

proctype Run(byte r) {
  do
  /* Claim: a free lock, or one whose run is taken over: by a person who names it, or when its deadline is over. */
  /* row: take */
  /* row: take_over */
  :: d_step { at[r] == idle && (r == 0 || at[0] != idle) && SAME_EPOCH ->
       run_name[r] = r + 1; holder = r + 1;
       phase = (phase == unlocked || without(TAKEOVER_STARTS_OVER) -> checking : phase);
       requests = (without(TAKEOVER_STARTS_OVER) -> 0 : requests);
       at[r] = (phase == moving -> to_request : waiting);
       printf("run %d                    claims the lock\n", r) }
  :: d_step { at[r] == idle && writer == west && !MOVES_TO_EAST -> finish() }
  /* Run 1 may also be run 0 again: a step that was started twice, or one that was thought dead. */
  :: d_step { r == 1 && at[1] == idle && at[0] != idle -> run_name[1] = 1; at[1] = waiting;
       printf("run 1                    is run 0 a second time\n") }
  /* Failover: waits until the lease is over, then moves on if it is still the same lease. */
  :: d_step { at[r] == waiting && MINE && LEASE_OVER -> at[r] = to_move;
       printf("run %d                    sees that the lease is over\n", r) }
  /* row: begin_move */
  :: d_step { at[r] == to_move && MAY_MOVE ->
       I3_live_lease_vetoes = (lease <= 0); assert(I3_live_lease_vetoes);
       lock(moving); at[r] = to_request;
       printf("run %d                    moves on\n", r) }
#ifndef NO_STOPS
  /* Switchover: forbids to renew, fences, then moves on if nobody has given that up. */
  /* row: begin_stop */
  :: d_step { at[r] == waiting && MAY_MOVE -> at[r] = to_fence;
       if :: without(FENCE_BEFORE_STOPPING) :: else -> lock(stopping) fi;
       printf("run %d                    begins to stop the old writer\n", r) }
  :: d_step { at[r] == to_fence -> at[r] = to_move_fenced;
       if :: without(STOP_WITHOUT_FENCE) :: else -> fence_by_sql() fi;
       other_stop[r] = ((!MINE || phase != stopping) && !without(FENCE_BEFORE_STOPPING));
       printf("run %d                    has fenced the old writer\n", r) }
  /* row: begin_move_of_stopped */
  :: d_step { at[r] == to_move_fenced && MAY_MOVE_FENCED -> at[r] = to_request; other_stop[r] = false; lock(moving);
       printf("run %d                    moves on\n", r) }
#endif
  /* A check fails, the lease lives, the old writer cannot be fenced, a condition fails. */
  :: d_step { at[r] == waiting || at[r] == to_fence || (at[r] == to_move && !MAY_MOVE) ||
       (at[r] == to_move_fenced && !MAY_MOVE_FENCED) || (at[r] == to_request && (requests == 0 || !MINE)) -> leave();
       printf("run %d                    leaves\n", r) }
  /* The request is noted before it is sent, and from then on there is only the way forward, unless it is refused. */
  /* row: begin_request */
  :: d_step { at[r] == to_request && MINE && phase == moving && REST_OVER -> at[r] = to_detach;
       requests = (without(REQUEST_NOT_NOTED) -> requests : (requests < 2 -> requests + 1 : 2));
       printf("run %d                    notes that it asks to detach\n", r) }
  /* row: end_request */
  :: d_step { at[r] == to_detach && MINE && (requests == 1 || without(REFUSAL_CLEARS_ALL)) -> unlock(); finish();
       printf("run %d                    is refused the detach\n", r) }
  /* row: give_note_back */
  :: d_step { at[r] == to_detach && MINE && requests == 1 -> requests = 0; lock(checking);
       at[r] = (without(TAKE_BACK_WITHOUT_WAIT) -> to_move : waiting);
       printf("run %d                    is refused the detach for now: checks again\n", r) }
  :: d_step { at[r] == to_detach -> P2_one_run = (phase == moving || writer == west); assert(P2_one_run);
       promoted = true; check_writers(); at[r] = to_commit;
       printf("run %d                    detaches and promotes WEST\n", r) }
  /* row: commit_failover */
  /* row: commit_switchover */
  :: d_step { at[r] == to_commit && MINE && SAME_EPOCH -> P2_one_move = (writer == east); assert(P2_one_move);
       writer = west; epoch++; phase = unlocked; holder = 0; requests = 0; leased = false; rest = NO_WORD;
       says_fenced = false; lease = (without(NO_EPOCH_CONDITION) -> LEASE : LONG_AGO); finish();
       printf("run %d                    commits: WEST is the writer of epoch %d\n", r, epoch) }
  :: d_step { at[r] == to_commit && !(MINE && SAME_EPOCH) -> finish() }
  od
}

init {
  atomic {
#ifdef HARMLESS
    writer = east; epoch = 1; phase = unlocked; holder = 0; leased = true;
    if :: lease = LEASE :: lease = LONG_AGO fi;
    run Clock(); run Guardian(0)
#else
#ifndef NO_STOPS
    if :: true :: slept_through_epochs = true; guardian[1] = renewing fi;
#endif
#ifdef BY_NAME_ONLY
    run Name();
#endif
    run Clock(); run Guardian(0); run Guardian(1); run Run(0); run Run(1); run PreviousRun()
#endif
  }
}
