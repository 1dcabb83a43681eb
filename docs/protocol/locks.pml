/* Who holds the lock: runs that end or die, those that take over from them, and what RDS makes of their requests.
 *
 * writer.pml says that nobody writes beside the writer, whoever takes, loses or ends the lock, and whenever. This model
 * has no clock: what takes a time may take any. It says what becomes of a lock: nobody is fenced for ever by a run that
 * died (P3, P10), an outage ends with a move (P9), and no request takes effect after its time (P2). One run lives at a
 * time; of one that has lost its lock, or died, only a request can be on its way. A number of troubles come at any
 * moment; afterwards everybody has all the time of the world. One step is one line of a `do`.
 * A step that changes the record names its row of the table in handlers/core/transitions.py in the comment above it.
 */
/* Rules of the protocol that -DMUTATION=<name> takes away; 0 takes nothing away. */
#define LOCK_FOR_EVER              1  /* nobody takes a lock over */
#define REQUESTS_FORGOTTEN         2  /* a run that takes over takes no request for noted */
#define PAUSE_ENDS_ALL             3  /* a pause keeps the next attempt from a lock under which RDS was asked, too */
#define TAKEOVER_LOSES_MODE        4  /* automation takes a switchover over as a failover, healthy or not */
#define SWITCHOVER_STAYS           5  /* a switchover stays one, though the writer region shows no sign of life */
#define DOWN_IS_LIFE               6  /* a switchover stays one while the guardian lives whose database is down */
#define WAITS_FOR_EVER             7  /* a run waits for a switchover though the writer region shows no sign of life */
#define MODE_RETURNS               8  /* a person takes a failover over as a switchover */
#define STOP_STAYS                 9  /* no guardian ends a stop */
#define MOVE_STAYS                10  /* no guardian ends a move under which RDS was not asked */
#define SWITCH_STAYS              11  /* no guardian ends a switchover of which RDS shows nothing */
#define RUN_KEEPS_SWITCH          12  /* a run does not end a switchover of which RDS shows nothing */
#define END_SWITCH_EARLY          13  /* a guardian ends a switchover while a request may be on its way */
#define END_OTHER_MOVES           14  /* a guardian ends a failover of which its RDS shows nothing */
#define ASKS_FOR_EVER             15  /* a switchover is asked for again and again */
#define ASKS_ONCE                 16  /* a request that left no trace is not sent again */
#define REFUSED_WAITS_MOVING      17  /* a failover that is refused as busy waits without a way back */
#define BACK_TOO_SOON             18  /* a failover that was refused as busy gives the guardian no time for its tick */
#define COMMIT_BY_STATUS          19  /* a request that RDS is at counts as done */
#define NEXT_CLAIM_AT_ONCE        20  /* a claim follows a commit at once */
#define NEXT_CLAIM_AFTER_TAKEOVER 21  /* only a commit after a take-over keeps the next claim waiting */
#define LIFT_ASKS_RDS             22  /* a lift waits for an answer of the RDS API */
#define LIFT_COUNTS_SESSIONS      23  /* a lift waits until no session of the owner is left */
#define WORD_WHILE_MOVING         24  /* a guardian gives its word though a run has moved on */
#define WORD_AFTER_RENEWAL        25  /* a word counts though the lease has been renewed since its guardian looked */
#define MAINTENANCE_FOR_EVER      26  /* a maintenance does not end by itself */
#define MAINTENANCE_BESIDE_RUN    27  /* a maintenance begins while a run holds the lock */
#define CLAIM_OF_BEFORE           28  /* an attempt that was decided on before a maintenance takes the lock in it */
#define UNLOCK_EARLY              29  /* a person unlocks what RDS was asked for while a request may be on its way */
#define UNLOCK_BY_ONE_SIDE        30  /* a person unlocks what RDS was asked for by what the writer's region shows alone */
#define TAKE_AGAINST_A_WORD       31  /* an attempt that was decided on before a pause or a person's no takes a free lock */
#define TAKE_OVER_AGAINST_A_WORD  32  /* the same for a lock whose run is over */
#ifndef MUTATION
#define MUTATION 0
#endif
#define without(rule) (MUTATION == rule)

#ifndef TROUBLES
#define TROUBLES 4
#endif

mtype:region = { east, west };
mtype:state = { healthy, down, dark };      /* down: its guardian lives and says so; dark: no sign of life */
mtype:phase = { unlocked, checking, stopping, moving };
mtype:mode = { none, switchover, failover };
mtype:running = { nobody, to_take, to_take_over, to_wait, to_claim, to_fence, to_move, to_note, asking, waiting };

/* What is so for the whole history. */
bool always_busy;                           /* RDS refuses to move the writer */
bool rds_away;                              /* EAST's RDS API does not answer to its guardian */
bool owner_in;                              /* a session of the owner goes on and on */
bool west_gone;                             /* no run starts, or goes on, any more */
bool maintenance;                           /* a person is at work on EAST, and has said so in the record */

/* The record. */
bool paused;                                /* a person has paused automatic failover, or said no, for good */
mtype:region writer = east;
mtype:phase phase = unlocked;
mtype:mode mode = none;                     /* of the lock */
byte requests;                              /* noted; 2 is two or more */
bool taken_over;                            /* the run has taken the lock over */
bool by_person;                             /* a person has begun what the lock is for */
bool leased = true;                         /* the lease lives */
bool word;                                  /* a guardian's word that its database is down stands, and lasts */

mtype:state state = healthy;                /* EAST's database */
bool fenced;
bool saw_it_down, renewed_since;            /* a guardian that is about to say so; renewed by another one since then */
mtype:running at = nobody;                  /* the run that lives; its lock may be lost */
bool holds;                                 /* it has the lock */
mtype:mode asks;                            /* what it asks for */
bool late_switchover, late_detach;          /* requests on their way whose runs do not live any more */
mtype:mode works_on = none;                 /* what RDS is at */
bool promoted, switched;                    /* WEST takes writes; by a switchover */
byte troubles = TROUBLES;

bool was_ill, failover_wanted;              /* EAST was not healthy once; a person has asked for a failover */
bool answer_unknown;                        /* of a request: nobody can know whether RDS has it */
bool next_claimed, after_many, after_takeover; /* the next claim after the commit, and what it has to know of that */

/* The promises: each is true for ever, or an assertion of its name fails. P3_P9_P10 is at the end. */
bool P1_one_writer = true, P2_no_late_request = true, P5_healthy_stays = true;
bool P5_word_is_true = true, P5_maintenance = true, P5_persons_no = true, P7_committed_writes = true;

#define ON_ITS_WAY (at == asking || late_switchover || late_detach)
inline check() { P1_one_writer = !(promoted && !fenced && state == healthy); assert(P1_one_writer) }
inline unlock() { phase = unlocked; mode = none; requests = 0; holds = false; by_person = false }
inline over() {                             /* the run ends, or dies; what it asks for may still arrive */
  late_switchover = (late_switchover || (at == asking && asks == switchover));
  late_detach = (late_detach || (at == asking && asks == failover)); answer_unknown = (answer_unknown || at == asking);
  at = nobody; holds = false; asks = none; taken_over = false
}

/* ---- EAST ---- */
#define MAY_RENEW (state == healthy && writer == east && (phase == unlocked || phase == checking))
proctype East() {
  do
  :: d_step { troubles > 0 && state == healthy -> troubles--; state = down; was_ill = true; printf("EAST is down\n") }
  :: d_step { troubles > 0 && state != dark -> troubles--; state = dark; was_ill = true; printf("EAST is dark\n") }
  :: d_step { troubles > 0 && state == down -> troubles--; state = healthy; check(); printf("EAST answers again\n") }
  :: d_step { troubles > 0 && state != healthy -> troubles--; state = healthy; fenced = true;
       printf("EAST has started, fenced\n") }
  :: d_step { word || (leased && !MAY_RENEW) -> leased = (leased && MAY_RENEW); word = false;
       printf("what is not renewed ends\n") }
  od
}

#define MAY_LIFT ((!rds_away || !without(LIFT_ASKS_RDS)) && (!owner_in || !without(LIFT_COUNTS_SESSIONS)))
#define RUN_IS_OVER (!holds)
#define SHOWS_NOTHING (works_on != switchover && !switched)    /* RDS, asked by EAST: it is the primary as ever */
proctype Guardian() {
  do
  :: d_step { state != dark && !fenced && (writer == west || phase == stopping || phase == moving) -> fenced = true;
       printf("guardian fences\n") }
  /* row: renew */
  :: d_step { MAY_RENEW && (!leased || word || saw_it_down) && !renewed_since -> leased = true; word = false;
       renewed_since = saw_it_down; printf("guardian renews\n") }
  :: d_step { MAY_RENEW && leased && fenced && MAY_LIFT -> fenced = false; check(); printf("guardian lifts\n") }
  /* row: end_stop */
  :: d_step { state != dark && writer == east && phase == stopping && RUN_IS_OVER && !without(STOP_STAYS) -> unlock();
       printf("guardian ends the stop\n") }
  /* row: end_move */
  :: d_step { state != dark && writer == east && phase == moving && requests == 0 && RUN_IS_OVER &&
       !without(MOVE_STAYS) -> unlock(); printf("guardian ends the move\n") }
  /* row: end_switchover */
  :: d_step { state != dark && writer == east && phase == moving && requests > 0 && SHOWS_NOTHING && !rds_away &&
       (mode == switchover || without(END_OTHER_MOVES)) && (!ON_ITS_WAY || without(END_SWITCH_EARLY)) &&
       !without(SWITCH_STAYS) ->
       unlock(); printf("guardian ends the switchover of which RDS shows nothing\n") }
  /* A run that is slow is to a guardian as one that is over. */
  :: d_step { troubles > 0 && state != dark && writer == east && !RUN_IS_OVER && requests == 0 &&
       ((phase == stopping && !without(STOP_STAYS)) || (phase == moving && !without(MOVE_STAYS))) -> troubles--;
       unlock(); printf("guardian ends what takes too long\n") }
  od
}

/* Another one, which looks at the database, and says so some time later. */
#define MAY_SAY (writer == east && (phase == unlocked || phase == checking || without(WORD_WHILE_MOVING)))
proctype OtherGuardian() {
  do
  :: d_step { MAY_SAY && state == down && !word && !saw_it_down -> saw_it_down = true;
       printf("other guardian sees that the database is down\n") }
  /* row: give_word */
  :: d_step { saw_it_down ->
       if
       :: MAY_SAY && (!renewed_since || without(WORD_AFTER_RENEWAL)) ->
          P5_word_is_true = !renewed_since; assert(P5_word_is_true); word = true;
          printf("other guardian gives its word\n")
       :: else -> printf("other guardian cannot give its word\n")
       fi;
       saw_it_down = false; renewed_since = false }
  od
}

/* ---- RDS ---- */
inline accept(what) {
  P2_no_late_request = !next_claimed; assert(P2_no_late_request);
  P5_healthy_stays = (what == switchover || was_ill || failover_wanted); assert(P5_healthy_stays);
  P5_maintenance = (!maintenance || by_person); assert(P5_maintenance);
  works_on = what
}
#define ACCEPTS(what) (!always_busy && works_on == none && !promoted && (what == failover || state == healthy))
proctype Rds() {
  do
  :: d_step { works_on != none -> promoted = true; switched = (works_on == switchover); works_on = none; check();
       printf("RDS has promoted WEST\n") }
  :: d_step { troubles > 0 && works_on == switchover -> troubles--; works_on = none;
       printf("RDS cancels the switchover\n") }
  :: d_step { works_on == switchover && state != healthy -> works_on = none; printf("RDS cancels the switchover\n") }
  :: d_step { late_switchover -> late_switchover = false;
       if :: ACCEPTS(switchover) || next_claimed -> accept(switchover) :: else fi;
       printf("a late switchover arrives\n") }
  :: d_step { late_detach -> late_detach = false;
       if :: ACCEPTS(failover) || next_claimed -> accept(failover) :: else fi; printf("a late detach arrives\n") }
  :: d_step { late_switchover || late_detach -> late_switchover = false; late_detach = false;
       printf("requests on their way are gone\n") }
  od
}

/* ---- runs ---- */
inline claim(what) {
  P5_persons_no = (!paused || by_person || requests > 0); assert(P5_persons_no);
  taken_over = (phase != unlocked); holds = true; mode = what; asks = what;
  requests = (without(REQUESTS_FORGOTTEN) -> 0 : requests);
  phase = (phase == unlocked -> checking : phase);
  at = (phase == moving -> (requests > 0 -> waiting : to_note) : to_claim);
  printf("a run has the lock, as %e, phase %e\n", what, phase)
}
inline give_back() { unlock(); over(); printf("the run gives the lock back\n") }
#define FREE (!west_gone && at == nobody && writer == east && phase == unlocked)
#define LEFT (!west_gone && at == nobody && writer == east && phase != unlocked && !without(LOCK_FOR_EVER))
/* An attempt for a new outage; and one for a lock whose run is over, for which a pause is none once RDS was asked. */
#define MAY_BEGIN (!paused && !maintenance)
#define MAY_FINISH (MAY_BEGIN || (requests > 0 && !without(PAUSE_ENDS_ALL)))
#define WRITER_IS_DOWN (state == dark || (state == down && !without(DOWN_IS_LIFE)))
#define BECOMES_FAILOVER (mode == switchover && ((WRITER_IS_DOWN && !without(SWITCHOVER_STAYS)) || \
                                                 without(TAKEOVER_LOSES_MODE)))

proctype Run() {
  do
  :: d_step { FREE && MAY_BEGIN && state != healthy -> at = to_take; printf("an attempt is decided on\n") }
  /* row: take */
  :: d_step { at == to_take ->
       if
       :: writer == east && phase == unlocked && (!maintenance || without(CLAIM_OF_BEFORE)) &&
          (!paused || without(TAKE_AGAINST_A_WORD)) -> claim(failover)
       :: else -> over()
       fi }
  :: d_step { LEFT && (phase == checking -> (MAY_BEGIN && state != healthy) : MAY_FINISH) -> at = to_take_over;
       printf("a take-over is decided on\n") }
  /* A lock that nobody holds can only be unlocked meanwhile; whoever lives takes it. */
  /* row: take_over */
  :: d_step { at == to_take_over ->
       if
       :: writer == east && phase != unlocked && (MAY_FINISH || without(TAKE_OVER_AGAINST_A_WORD)) ->
          if :: BECOMES_FAILOVER -> claim(failover) :: else -> claim(mode) fi
       :: else -> over()
       fi }
  /* A person, who may name another mode, but not lead a failover back. */
  :: d_step { troubles > 0 && (FREE || LEFT) && state == healthy && (mode != failover || without(MODE_RETURNS)) ->
       troubles--; by_person = true; claim(switchover) }
  :: d_step { troubles > 0 && (FREE || LEFT) -> troubles--; failover_wanted = true; by_person = true;
       claim(failover) }

  :: d_step { at != nobody && at != to_take && at != to_take_over && !holds -> over(); printf("the run finds that it has lost the lock\n") }
  :: d_step { troubles > 0 && at != nobody -> troubles--; over(); printf("the run dies\n") }
  :: d_step { troubles > 0 && !west_gone -> troubles--; over(); west_gone = true; printf("WEST is gone\n") }
  /* Failover: a lease that lives vetoes. */
  :: d_step { at == to_claim && holds && asks == failover && leased && phase == checking -> give_back() }
  /* row: begin_move */
  :: d_step { at == to_claim && holds && asks == failover && !leased -> phase = moving; at = to_note;
       printf("the run moves on\n") }
  /* After a refusal it waits for two ticks, in which a guardian of a healthy writer renews. */
  :: d_step { at == to_wait && holds && (leased || !MAY_RENEW) -> at = to_claim; printf("the run has waited\n") }
  /* Switchover. */
  /* row: begin_stop */
  :: d_step { at == to_claim && holds && asks == switchover && state == healthy -> phase = stopping; at = to_fence;
       printf("the run stops the writer\n") }
  :: d_step { at == to_fence && holds && state != dark -> fenced = true; at = to_move; printf("the run fences\n") }
  /* row: begin_move_of_stopped */
  :: d_step { at == to_move && holds && phase == stopping -> phase = moving; at = to_note;
       printf("the run moves on\n") }
  /* row: release */
  :: d_step { holds && asks == switchover && requests == 0 && state != healthy &&
       (at == to_claim || at == to_fence || at == to_move || at == to_note) -> give_back() }
  /* A failover waits here for the end of the guardian's word: by then it has fenced. */
  /* row: begin_request */
  :: d_step { at == to_note && holds && phase == moving && !word && (fenced || state == dark) ->
       requests = (requests < 2 -> requests + 1 : 2); at = asking; printf("the run notes a request\n") }
  :: d_step { at == asking && ACCEPTS(asks) -> accept(asks); at = waiting; printf("RDS accepts\n") }
  :: d_step { troubles > 0 && at == asking -> troubles--; at = waiting;
       answer_unknown = true; printf("the request is lost\n") }
  :: d_step { troubles > 0 && at == asking && !next_claimed -> troubles--;  /* a time-out: the step is begun anew */
       late_switchover = (late_switchover || asks == switchover); late_detach = (late_detach || asks == failover);
       answer_unknown = true;
       at = to_note; printf("the request is late\n") }
  /* row: end_request */
  /* row: give_note_back */
  :: d_step { at == asking && (!ACCEPTS(asks) || troubles > 0) -> troubles = (ACCEPTS(asks) -> troubles - 1 : troubles);
       if
       :: !holds || requests > 1 -> at = waiting
       :: else ->
          if
          :: asks == switchover -> at = to_claim; give_back()
          :: asks == failover && without(REFUSED_WAITS_MOVING) -> at = waiting
          :: else -> requests = 0; phase = checking; at = (without(BACK_TOO_SOON) -> to_claim : to_wait)
          fi
       fi;
       printf("RDS refuses\n") }
  :: d_step { at == waiting && holds && !promoted && works_on == none && !without(ASKS_ONCE) &&
       (asks == failover || requests < 2 || without(ASKS_FOR_EVER)) -> at = to_note;
       printf("RDS shows nothing of the request\n") }
  :: d_step { at == waiting && holds && asks == switchover && !promoted && works_on == none && WRITER_IS_DOWN &&
       !without(WAITS_FOR_EVER) -> over(); printf("the run ends, for the writer is down\n") }
  /* row: end_switchover */
  :: d_step { at == waiting && holds && asks == switchover && !promoted && works_on == none && requests > 1 &&
       state == healthy && !ON_ITS_WAY && !without(RUN_KEEPS_SWITCH) -> give_back() }
  /* row: commit_failover */
  /* row: commit_switchover */
  :: d_step { at == waiting && holds && (promoted || (works_on != none && without(COMMIT_BY_STATUS))) ->
       P7_committed_writes = promoted; assert(P7_committed_writes);
       after_many = (requests > 1); after_takeover = taken_over; writer = west; unlock(); over();
       printf("the run commits: WEST is the writer\n") }
  /* The next change of writer. A request that is still on its way would move the writer under its hands. */
  :: d_step { writer == west && phase == unlocked && !next_claimed && (!ON_ITS_WAY || without(NEXT_CLAIM_AT_ONCE) ||
       (without(NEXT_CLAIM_AFTER_TAKEOVER) && !after_takeover) || !after_many) -> next_claimed = true;
       printf("the next run claims\n") }
  od
}

/* ---- people, besides those who start runs. What they do to EAST in a maintenance is trouble like any other ---- */
#define BOTH_AS_BEFORE (works_on == none && !promoted)   /* RDS, asked in both regions: both clusters in their old roles */
proctype Person() {
  do
  /* row: pause */
  /* row: say_no */
  :: d_step { troubles > 0 && !paused -> troubles--; paused = true; printf("a person says no\n") }
  /* row: begin_maintenance */
  :: d_step { troubles > 0 && !maintenance && writer == east && (phase == unlocked || without(MAINTENANCE_BESIDE_RUN)) ->
       troubles--; maintenance = true; printf("a maintenance begins\n") }
  /* row: end_maintenance */
  :: d_step { maintenance && !without(MAINTENANCE_FOR_EVER) -> maintenance = false;
       printf("the maintenance ends, or its time is over\n") }
  /* Of a run that is over, when no request is on its way any more: its last one was noted more than 60 s ago. */
  /* row: unlock_asked */
  :: d_step { troubles > 0 && writer == east && phase == moving && requests > 0 && RUN_IS_OVER &&
       (BOTH_AS_BEFORE || (without(UNLOCK_BY_ONE_SIDE) && SHOWS_NOTHING)) && (!ON_ITS_WAY || without(UNLOCK_EARLY)) ->
       troubles--; unlock(); printf("a person takes the lock from a run whose request had no effect\n") }
  od
}

#define CAN_MOVE (!paused && !always_busy && !west_gone)
#define OPEN (writer == east && (phase == unlocked || phase == checking) && !promoted && state == healthy && !fenced)
#define MOVED (writer == west && promoted && phase == unlocked)
#define NOBODY_CAN (writer == east && state != healthy && !promoted && !CAN_MOVE)
/* RDS was asked, and who could find out, or finish it, is gone: people are paged. */
#define ONLY_FORWARD (writer == east && (promoted || requests > 0) && \
  ((always_busy && answer_unknown && mode == failover) || (west_gone && (mode == failover || promoted || rds_away))))
ltl P3_P9_P10 { <> [] (OPEN || MOVED || NOBODY_CAN || ONLY_FORWARD) }

init {
  atomic {
    if :: true :: paused = true fi; if :: true :: always_busy = true fi;
    if :: true :: rds_away = true fi; if :: true :: owner_in = true fi;
    run East(); run Guardian(); run OtherGuardian(); run Rds(); run Run(); run Person()
  }
  do :: d_step { true; skip } od            /* a history goes on where nobody has anything to do */
}
