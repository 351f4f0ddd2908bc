/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments: the cache of specialisations and bindings, the pool of run states, and runs across
 * stages. A hit takes no lock: it finds an idle state that is bound to the inputs' signature.
 * Everything else happens under the segment's lock.
 */
#include "specialize/segment.h"

#include "base/condition.h"
#include "base/error.h"

#include <string.h>
#include <time.h>

/* ---- life ---- */

/* The segment, its slots and a byte per input. */
static uint64_t block_bytes(const feri_build *build, const fer_graph *graph) {
    uint64_t slots = feri_mul_sat(build->state_count, sizeof(feri_state_slot));
    return feri_add_sat(sizeof(feri_segment) + graph->input_count, slots);
}

fer_status feri_segment_create(feri_build *build, fer_graph *graph, feri_segment **out_segment) {
    feri_segment *segment = feri_alloc(build->env, block_bytes(build, graph));
    if (segment == NULL) {
        feri_graph_destroy(graph);
        return feri_error_status();
    }
    segment->build = build;
    segment->graph = graph;
    segment->slots = (feri_state_slot *)(segment + 1);
    segment->slot_count = build->state_count;
    segment->decides = (uint8_t *)(segment->slots + segment->slot_count);
    pthread_mutex_init(&segment->lock, NULL);
    feri_condition_init(&segment->freed);
    fer_status status = feri_slice_inputs(graph, segment->decides);
    if (status != FER_OK) {
        feri_segment_destroy(segment);
        return status;
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const feri_fact *fact = &graph->values[graph->inputs[i]].fact;
        segment->has_deciding |= segment->decides[i];
        segment->has_open_dims |= !feri_fact_is_concrete(fact);
    }
    *out_segment = segment;
    return FER_OK;
}

static void slot_clear(feri_state_slot *slot) {
    if (slot->state != NULL) {
        slot->entry->bound_count--;
        feri_run_state_destroy(slot->state);
        slot->state = NULL;
    }
}

void feri_segment_destroy(feri_segment *segment) {
    if (segment == NULL) {
        return;
    }
    for (uint32_t i = 0; i < segment->slot_count; i++) {
        slot_clear(&segment->slots[i]);
    }
    while (segment->entries != NULL) {
        feri_entry_destroy(segment, segment->entries);
    }
    while (segment->specs != NULL) {
        feri_spec *spec = segment->specs;
        segment->specs = spec->link;
        feri_spec_destroy(spec);
    }
    uint64_t bytes = block_bytes(segment->build, segment->graph);
    feri_graph_destroy(segment->graph);
    pthread_cond_destroy(&segment->freed);
    pthread_mutex_destroy(&segment->lock);
    feri_free(segment->build->env, segment, bytes);
}

/* ---- slots ---- */

/* The next slot behind one (NULL: the first) that nobody has; it is the caller's to let go. */
static feri_state_slot *slot_take(feri_segment *segment, feri_state_slot *slot) {
    for (slot = slot == NULL ? segment->slots : slot + 1;
         slot < segment->slots + segment->slot_count;
         slot++) {
        if (atomic_load_explicit(&slot->busy, memory_order_relaxed) == 0 &&
            atomic_exchange_explicit(&slot->busy, 1, memory_order_acquire) == 0) {
            return slot;
        }
    }
    return NULL;
}

static void slot_free(feri_state_slot *slot) {
    atomic_store_explicit(&slot->busy, 0, memory_order_release);
}

static void slot_give(feri_segment *segment, feri_state_slot *slot) {
    slot_free(slot);
    if (atomic_load(&segment->waiters) > 0) {
        pthread_mutex_lock(&segment->lock);
        pthread_cond_signal(&segment->freed);
        pthread_mutex_unlock(&segment->lock);
    }
}

static feri_state_slot *slot_hit(feri_segment *segment, const feri_arg *inputs) {
    feri_state_slot *slot = NULL;
    while ((slot = slot_take(segment, slot)) != NULL) {
        if (slot->state != NULL && feri_entry_matches(segment, slot->entry, inputs) &&
            feri_run_state_is_settled(slot->state) && !feri_run_state_is_spoiled(slot->state) &&
            !feri_plan_is_lost(slot->entry->spec->plan)) {
            break;
        }
        slot_give(segment, slot);
    }
    return slot;
}

/* ---- eviction; lock held ---- */

/* The bytes of idle states; drops: of them those bound to entry (NULL: all). */
static uint64_t states_visit(feri_segment *segment, const feri_entry *entry, int drops) {
    uint64_t bytes = 0;
    feri_state_slot *slot = NULL;
    while ((slot = slot_take(segment, slot)) != NULL) {
        bytes += slot->state == NULL ? 0 : feri_run_state_bytes(slot->state);
        if (drops && (entry == NULL || slot->entry == entry)) {
            slot_clear(slot);
        }
        slot_free(slot);
    }
    return bytes;
}

static void specs_sweep(feri_segment *segment, int keep_symbolic) {
    for (feri_spec **link = &segment->specs; *link != NULL;) {
        feri_spec *spec = *link;
        int is_idle = !segment->is_final && spec->entry_count == 0;
        int serves_all = spec->is_symbolic && spec->signature == NULL;
        if (is_idle && (!keep_symbolic || !serves_all || feri_plan_is_lost(spec->plan))) {
            *link = spec->link;
            feri_spec_destroy(spec);
        } else {
            link = &spec->link;
        }
    }
}

static void entries_drop(feri_segment *segment, int lost_only) {
    for (feri_entry *entry = segment->entries, *next; entry != NULL; entry = next) {
        next = entry->link;
        if (lost_only && !feri_plan_is_lost(entry->spec->plan)) {
            continue;
        }
        (void)states_visit(segment, entry, /*drops=*/1);
        if (entry->bound_count == 0) {
            feri_entry_destroy(segment, entry);
        }
    }
}

static void cache_bound(feri_segment *segment, const feri_entry *keep) {
    uint64_t limit = segment->build->env->limits.max_specialization_bytes;
    while (segment->entry_bytes > limit) {
        feri_entry *oldest = NULL;
        for (feri_entry *entry = segment->entries; entry != NULL; entry = entry->link) {
            if (entry != keep && entry->bound_count == 0 &&
                (oldest == NULL || entry->tick < oldest->tick)) {
                oldest = entry;
            }
        }
        if (oldest == NULL) {
            break;
        }
        feri_entry_destroy(segment, oldest);
    }
    specs_sweep(segment, /*keep_symbolic=*/1);
}

/* ---- misses; lock held ---- */

static fer_status
entry_get(feri_segment *segment, feri_run *run, const feri_arg *inputs, feri_entry **out_entry) {
    entries_drop(segment, /*lost_only=*/1);
    specs_sweep(segment, /*keep_symbolic=*/1);
    feri_entry *entry = segment->entries;
    while (entry != NULL &&
           (feri_plan_is_lost(entry->spec->plan) || !feri_entry_matches(segment, entry, inputs))) {
        entry = entry->link;
    }
    if (entry == NULL) {
        FER_TRY(feri_entry_create(segment, run, inputs, &entry));
    }
    entry->tick = ++segment->tick;
    cache_bound(segment, entry);
    *out_entry = entry;
    return FER_OK;
}

/* An idle slot: one that has a state of the same specialisation, else an empty one, else any. */
static feri_state_slot *slot_choose(feri_segment *segment, const feri_spec *spec) {
    feri_state_slot *best = NULL, *slot = NULL;
    int best_rank = -1;
    while ((slot = slot_take(segment, slot)) != NULL) {
        int rank = slot->state == NULL                       ? 1
                   : !feri_run_state_is_settled(slot->state) ? -1
                   : slot->entry->spec == spec               ? 2
                                                             : 0;
        feri_state_slot *worse = rank > best_rank ? best : slot;
        if (rank > best_rank) {
            best = slot;
            best_rank = rank;
        }
        if (worse != NULL) {
            slot_free(worse);
        }
    }
    return best;
}

static fer_status slot_bind(feri_state_slot *slot, feri_entry *entry) {
    if (slot->state != NULL &&
        (slot->entry->spec != entry->spec || feri_run_state_is_spoiled(slot->state))) {
        slot_clear(slot);
    }
    if (slot->state == NULL) {
        FER_TRY(feri_run_state_create(entry->spec->plan, &slot->state));
    } else {
        slot->entry->bound_count--;
    }
    slot->entry = entry;
    entry->bound_count++;
    fer_status status = feri_run_state_bind(slot->state, entry->binding);
    if (status != FER_OK) {
        slot_clear(slot);
    }
    return status;
}

static void wait_a_little(feri_segment *segment) {
    atomic_fetch_add(&segment->waiters, 1);
    feri_condition_wait(&segment->freed, &segment->lock, feri_clock_ns() + 1000000);
    atomic_fetch_sub(&segment->waiters, 1);
}

/* A state did not fit into memory: idle ones make room for it, else one that is busy will. 0 when
 * there is neither. */
static int make_room(feri_segment *segment) {
    if (states_visit(segment, NULL, /*drops=*/1) > 0) {
        return 1;
    }
    for (uint32_t i = 0; i < segment->slot_count; i++) {
        if (segment->slots[i].state != NULL) {
            wait_a_little(segment);
            return 1;
        }
    }
    return 0;
}

/* Another run may compile under the lock for long: the wait looks at this run's deadline. Timed
 * locks go by the wall clock: one that is set back meanwhile makes this wait for the lock. */
static fer_status segment_lock(feri_segment *segment, feri_run *run) {
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (until.tv_nsec += 1000000) / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_mutex_timedlock(&segment->lock, &until) == 0) {
            return FER_OK;
        }
        FER_TRY(feri_run_check(run));
    }
}

static fer_status slot_miss(feri_segment *segment,
                            feri_run *run,
                            const feri_arg *inputs,
                            feri_state_slot **out_slot) {
    fer_status status = segment_lock(segment, run);
    if (status != FER_OK) {
        return status;
    }
    feri_state_slot *slot = NULL;
    while (status == FER_OK && slot == NULL) {
        feri_entry *entry = NULL;
        status = entry_get(segment, run, inputs, &entry);
        if (status != FER_OK) {
            break;
        }
        slot = slot_choose(segment, entry->spec);
        if (slot == NULL) {
            wait_a_little(segment);
            status = feri_run_check(run);
            continue;
        }
        status = slot_bind(slot, entry);
        if (status != FER_OK) {
            slot_free(slot);
        }
        if ((status == FER_BUDGET || status == FER_OUT_OF_MEMORY) && make_room(segment)) {
            slot = NULL;
            status = feri_run_check(run);
        }
    }
    pthread_mutex_unlock(&segment->lock);
    *out_slot = slot;
    return status;
}

static fer_status slot_acquire(feri_segment *segment,
                               feri_run *run,
                               const feri_arg *inputs,
                               feri_state_slot **out_slot) {
    *out_slot = slot_hit(segment, inputs);
    if (*out_slot != NULL) {
        return FER_OK;
    }
    fer_run_record *record = run->record;
    uint64_t before = feri_clock_ns() - (record != NULL ? record->compile_ns : 0);
    fer_status status = slot_miss(segment, run, inputs, out_slot);
    if (record != NULL) { /* what was not spent compiling was spent waiting */
        record->queue_ns += feri_clock_ns() - record->compile_ns - before;
    }
    return status;
}

/* ---- runs ---- */

/* A specialisation with a next stage: its outputs are partly ours and partly the next stage's
 * inputs. */
static fer_status
staged_run(feri_state_slot *slot, feri_run *run, const feri_arg *inputs, feri_arg *outputs) {
    const feri_spec *spec = slot->entry->spec;
    const fer_graph *next = spec->next->graph;
    uint32_t output_count = spec->segment->graph->output_count;
    uint32_t made_count = spec->graph->output_count, result_count = made_count + next->output_count;
    uint32_t count = result_count + next->input_count;
    uint64_t bytes = feri_mul_sat(count, sizeof(feri_arg) + 1);
    feri_arg *made = feri_alloc(run->env, bytes);
    if (made == NULL) {
        return feri_error_status();
    }
    feri_arg *results = made + made_count, *args = made + result_count;
    uint8_t *is_ours = (uint8_t *)(made + count); /* goes to the caller, or was bound by it */
    for (uint32_t i = 0; i < output_count; i++) {
        uint32_t at = spec->outputs[i].index + (spec->outputs[i].is_next ? made_count : 0);
        made[at] = outputs[i];
        is_ours[at] = outputs[i].tensor != NULL || outputs[i].value != NULL;
    }
    fer_status status = feri_run_state_execute(slot->state, run, inputs, made);
    for (uint32_t i = 0; i < next->input_count; i++) {
        const feri_source *from = &spec->next_inputs[i];
        args[i] = from->is_input ? inputs[from->index] : made[from->index];
    }
    if (status == FER_OK) {
        status = feri_segment_run(spec->next, run, args, results);
    }
    for (uint32_t i = 0; i < output_count && status == FER_OK; i++) {
        uint32_t at = spec->outputs[i].index + (spec->outputs[i].is_next ? made_count : 0);
        outputs[i] = made[at];
        is_ours[at] = 1;
    }
    for (uint32_t i = 0; i < result_count; i++) {
        if (!is_ours[i]) {
            feri_arg_release(&made[i]);
        }
    }
    feri_free(run->env, made, bytes);
    return status;
}

fer_status
feri_segment_run(feri_segment *segment, feri_run *run, const feri_arg *inputs, feri_arg *outputs) {
    feri_state_slot *slot = NULL;
    FER_TRY(slot_acquire(segment, run, inputs, &slot));
    void *outer = run->body_self;
    run->body_self = slot->entry->spec;
    if (run->record != NULL) {
        run->record->stage_count++;
    }
    fer_status status = slot->entry->spec->next == NULL
                            ? feri_run_state_execute(slot->state, run, inputs, outputs)
                            : staged_run(slot, run, inputs, outputs);
    run->body_self = outer;
    slot_give(segment, slot);
    return status;
}

/* ---- ahead of runs, and afterwards ---- */

/* Stand-ins for the inputs of a graph whose dims are all numbers: a tensor's header is all that is
 * looked at. */
static fer_status prepare_numbers(feri_segment *segment, feri_run *run) {
    const fer_graph *graph = segment->graph;
    uint64_t bytes = feri_mul_sat(graph->input_count, sizeof(feri_arg) + sizeof(fer_tensor));
    feri_arg *args = feri_alloc(segment->build->env, bytes);
    if (args == NULL) {
        return feri_error_status();
    }
    fer_tensor *headers = (fer_tensor *)(args + graph->input_count);
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const feri_fact *fact = &graph->values[graph->inputs[i]].fact;
        headers[i].dtype = fact->dtype;
        headers[i].rank = (uint32_t)fact->rank;
        for (int32_t k = 0; k < fact->rank; k++) {
            headers[i].dims[k] = fact->dims[k].number;
        }
        args[i].tensor = &headers[i];
    }
    feri_state_slot *slot = NULL;
    fer_status status = slot_miss(segment, run, args, &slot);
    if (status == FER_OK) {
        slot_give(segment, slot);
    }
    feri_free(segment->build->env, args, bytes);
    return status;
}

fer_status feri_segment_prepare(feri_segment *segment) {
    feri_run run = {.env = segment->build->env};
    if (segment->has_open_dims || segment->has_deciding) {
        pthread_mutex_lock(&segment->lock);
        fer_status status = feri_segment_try_symbolic(segment, &run);
        pthread_mutex_unlock(&segment->lock);
        if (status != FER_OK || segment->has_open_dims || segment->symbolic != 1) {
            return status;
        }
    } else {
        segment->symbolic = 2;
    }
    return prepare_numbers(segment, &run);
}

/* Host memory and that of the policy's devices which have their own. */
static uint64_t memory_in_use(const feri_build *build) {
    uint64_t bytes = 0;
    fer_context_memory(build->context, &bytes, NULL);
    for (uint32_t i = 0; i < build->policy.device_count; i++) {
        const fer_device *device = build->policy.devices[i];
        bytes += feri_device_is_host(device) ? 0 : atomic_load(&device->in_use_bytes);
    }
    return bytes;
}

/* Trims a segment and all within it; returns the bytes that idle states had. level 0: they keep
 * them. */
static uint64_t segment_visit(feri_segment *segment, int32_t level) {
    pthread_mutex_lock(&segment->lock);
    uint64_t bytes = 0;
    for (feri_spec *spec = segment->specs; spec != NULL; spec = spec->link) {
        for (uint32_t i = 0; i < spec->body_count; i++) {
            bytes += segment_visit(spec->bodies[i], level);
        }
        bytes += spec->next == NULL ? 0 : segment_visit(spec->next, level);
    }
    bytes += states_visit(segment, NULL, /*drops=*/level >= FER_TRIM_STATES);
    if (level >= FER_TRIM_SPECIALIZATIONS) {
        entries_drop(segment, /*lost_only=*/0);
        specs_sweep(segment, /*keep_symbolic=*/level < FER_TRIM_WEIGHTS);
    }
    pthread_mutex_unlock(&segment->lock);
    return bytes;
}

uint64_t feri_segment_trim(feri_segment *segment, int32_t level) {
    uint64_t before = memory_in_use(segment->build);
    (void)segment_visit(segment, level);
    uint64_t after = memory_in_use(segment->build);
    return before > after ? before - after : 0;
}

uint64_t feri_segment_arena_bytes(feri_segment *segment) {
    return segment_visit(segment, /*level=*/0);
}

uint64_t feri_segment_binding_count(feri_segment *segment) {
    uint64_t count = 0;
    pthread_mutex_lock(&segment->lock);
    for (const feri_entry *entry = segment->entries; entry != NULL; entry = entry->link) {
        count++;
    }
    pthread_mutex_unlock(&segment->lock);
    return count;
}
