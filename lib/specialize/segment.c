/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments: the cache of specialisations and bindings, the pool of run states, and runs across
 * stages. A hit takes no lock: it finds an idle state that is bound to the inputs' signature.
 * Everything else happens under the segment's lock.
 */
#include "specialize/segment.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* ---- life ---- */

static fer_status segment_fill(feri_segment *segment) {
    const fer_graph *graph = segment->graph;
    feri_env *env = segment->build->env;
    segment->slot_count = segment->build->state_count;
    segment->decides = feri_alloc(env, graph->input_count);
    segment->slots = feri_alloc(env, feri_mul_sat(segment->slot_count, sizeof(feri_state_slot)));
    if (segment->decides == NULL || segment->slots == NULL) {
        return feri_error_status();
    }
    FER_TRY(feri_slice_inputs(graph, segment->decides));
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const feri_fact *fact = &graph->values[graph->inputs[i]].fact;
        segment->has_deciding |= segment->decides[i];
        segment->has_open_dims |= !feri_fact_is_concrete(fact);
    }
    return FER_OK;
}

fer_status feri_segment_create(feri_build *build, fer_graph *graph, feri_segment **out_segment) {
    feri_segment *segment = feri_alloc(build->env, sizeof(*segment));
    if (segment == NULL) {
        feri_graph_destroy(graph);
        return feri_error_status();
    }
    segment->build = build;
    segment->graph = graph;
    pthread_mutex_init(&segment->lock, NULL);
    pthread_cond_init(&segment->freed, NULL);
    fer_status status = segment_fill(segment);
    if (status != FER_OK) {
        feri_segment_destroy(segment);
        return status;
    }
    *out_segment = segment;
    return FER_OK;
}

static void slot_clear(feri_state_slot *slot) {
    if (slot->state != NULL) {
        slot->entry->spec->state_count--;
        feri_run_state_destroy(slot->state);
    }
    slot->state = NULL;
    slot->entry = NULL;
}

void feri_segment_destroy(feri_segment *segment) {
    if (segment == NULL) {
        return;
    }
    feri_env *env = segment->build->env;
    for (uint32_t i = 0; segment->slots != NULL && i < segment->slot_count; i++) {
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
    feri_free(env, segment->slots, feri_mul_sat(segment->slot_count, sizeof(feri_state_slot)));
    feri_free(env, segment->decides, segment->graph->input_count);
    feri_graph_destroy(segment->graph);
    pthread_cond_destroy(&segment->freed);
    pthread_mutex_destroy(&segment->lock);
    feri_free(env, segment, sizeof(*segment));
}

/* ---- slots ---- */

static int slot_take(feri_state_slot *slot) {
    return atomic_load_explicit(&slot->busy, memory_order_relaxed) == 0 &&
           atomic_exchange_explicit(&slot->busy, 1, memory_order_acquire) == 0;
}

static void slot_give(feri_segment *segment, feri_state_slot *slot) {
    atomic_store_explicit(&slot->busy, 0, memory_order_release);
    if (atomic_load(&segment->waiters) > 0) {
        pthread_mutex_lock(&segment->lock);
        pthread_cond_signal(&segment->freed);
        pthread_mutex_unlock(&segment->lock);
    }
}

static feri_state_slot *slot_hit(feri_segment *segment, const feri_arg *inputs) {
    for (uint32_t i = 0; i < segment->slot_count; i++) {
        feri_state_slot *slot = &segment->slots[i];
        if (!slot_take(slot)) {
            continue;
        }
        if (slot->state != NULL && feri_entry_matches(segment, slot->entry, inputs) &&
            feri_run_state_is_settled(slot->state) && !feri_run_state_is_spoiled(slot->state) &&
            !feri_plan_is_lost(slot->entry->spec->plan)) {
            return slot;
        }
        slot_give(segment, slot);
    }
    return NULL;
}

/* ---- eviction; lock held ---- */

static void states_drop(feri_segment *segment, const feri_entry *entry, const feri_spec *spec) {
    for (uint32_t i = 0; i < segment->slot_count; i++) {
        feri_state_slot *slot = &segment->slots[i];
        if (slot_take(slot)) {
            if (slot->state != NULL && (entry == NULL || slot->entry == entry) &&
                (spec == NULL || slot->entry->spec == spec)) {
                slot_clear(slot);
            }
            atomic_store_explicit(&slot->busy, 0, memory_order_release);
        }
    }
}

static int entry_is_bound(const feri_segment *segment, const feri_entry *entry) {
    for (uint32_t i = 0; i < segment->slot_count; i++) {
        if (segment->slots[i].entry == entry) {
            return 1;
        }
    }
    return 0;
}

static void specs_sweep(feri_segment *segment, int keep_symbolic) {
    for (feri_spec **link = &segment->specs; *link != NULL;) {
        feri_spec *spec = *link;
        int is_idle = !segment->is_final && spec->entry_count == 0 && spec->state_count == 0;
        int serves_all = spec->is_symbolic && spec->signature == NULL;
        if (is_idle && (!keep_symbolic || !serves_all || feri_plan_is_lost(spec->plan))) {
            *link = spec->link;
            feri_spec_destroy(spec);
        } else {
            link = &spec->link;
        }
    }
}

static void entries_drop(feri_segment *segment, int lost_only, const feri_entry *keep) {
    for (feri_entry *entry = segment->entries, *next; entry != NULL; entry = next) {
        next = entry->link;
        if (entry == keep || (lost_only && !feri_plan_is_lost(entry->spec->plan))) {
            continue;
        }
        states_drop(segment, entry, NULL);
        if (!entry_is_bound(segment, entry)) {
            feri_entry_destroy(segment, entry);
        }
    }
}

static void cache_bound(feri_segment *segment, const feri_entry *keep) {
    uint64_t limit = segment->build->env->limits.max_specialization_bytes;
    while (segment->entry_bytes > limit) {
        feri_entry *oldest = NULL;
        for (feri_entry *entry = segment->entries; entry != NULL; entry = entry->link) {
            if (entry != keep && !entry_is_bound(segment, entry) &&
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
    entries_drop(segment, /*lost_only=*/1, NULL);
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
    for (int wish = 0; wish < 3; wish++) {
        for (uint32_t i = 0; i < segment->slot_count; i++) {
            feri_state_slot *slot = &segment->slots[i];
            if (!slot_take(slot)) {
                continue;
            }
            int settled = slot->state == NULL || feri_run_state_is_settled(slot->state);
            int fits = wish == 0   ? slot->state != NULL && slot->entry->spec == spec
                       : wish == 1 ? slot->state == NULL
                                   : 1;
            if (fits && settled) {
                return slot;
            }
            atomic_store_explicit(&slot->busy, 0, memory_order_release);
        }
    }
    return NULL;
}

static fer_status slot_bind(feri_segment *segment, feri_state_slot *slot, feri_entry *entry) {
    (void)segment;
    if (slot->state != NULL &&
        (slot->entry->spec != entry->spec || feri_run_state_is_spoiled(slot->state))) {
        slot_clear(slot);
    }
    if (slot->state == NULL) {
        FER_TRY(feri_run_state_create(entry->spec->plan, &slot->state));
        entry->spec->state_count++;
    }
    slot->entry = entry;
    fer_status status = feri_run_state_bind(slot->state, entry->binding);
    if (status != FER_OK) {
        slot_clear(slot);
    }
    return status;
}

static struct timespec a_little_later(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return until;
}

static void wait_a_little(feri_segment *segment) {
    struct timespec until = a_little_later();
    atomic_fetch_add(&segment->waiters, 1);
    pthread_cond_timedwait(&segment->freed, &segment->lock, &until);
    atomic_fetch_sub(&segment->waiters, 1);
}

/* Another run may compile under the lock for long: the wait looks at this run's deadline. */
static fer_status segment_lock(feri_segment *segment, feri_run *run) {
    while (pthread_mutex_trylock(&segment->lock) != 0) {
        struct timespec until = a_little_later();
        if (pthread_mutex_timedlock(&segment->lock, &until) == 0) {
            break;
        }
        FER_TRY(feri_run_check(run));
    }
    return FER_OK;
}

static fer_status slot_miss(feri_segment *segment,
                            feri_run *run,
                            const feri_arg *inputs,
                            feri_state_slot **out_slot) {
    fer_status status = segment_lock(segment, run);
    if (status != FER_OK) {
        return status;
    }
    while (status == FER_OK && *out_slot == NULL) {
        feri_entry *entry = NULL;
        status = entry_get(segment, run, inputs, &entry);
        if (status != FER_OK) {
            break;
        }
        feri_state_slot *slot = slot_choose(segment, entry->spec);
        if (slot == NULL) {
            wait_a_little(segment);
            status = feri_run_check(run);
            continue;
        }
        status = slot_bind(segment, slot, entry);
        if (status == FER_OK) {
            *out_slot = slot;
        } else {
            atomic_store_explicit(&slot->busy, 0, memory_order_release);
        }
    }
    pthread_mutex_unlock(&segment->lock);
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
    uint64_t start = run->record != NULL ? feri_clock_ns() : 0;
    uint64_t compiled = run->record != NULL ? run->record->compile_ns : 0;
    fer_status status = slot_miss(segment, run, inputs, out_slot);
    if (run->record != NULL) {
        uint64_t spent = feri_clock_ns() - start, compile = run->record->compile_ns - compiled;
        run->record->queue_ns += spent > compile ? spent - compile : 0;
    }
    return status;
}

/* ---- runs ---- */

static fer_status next_run(const feri_spec *spec,
                           feri_run *run,
                           const feri_arg *inputs,
                           const feri_arg *made,
                           feri_arg *outputs) {
    const fer_graph *graph = spec->next->graph;
    const fer_graph *whole = spec->segment->graph;
    feri_env *env = run->env;
    uint64_t bytes =
        feri_mul_sat((uint64_t)graph->input_count + graph->output_count, sizeof(feri_arg));
    feri_arg *args = feri_alloc(env, bytes);
    if (args == NULL) {
        return feri_error_status();
    }
    feri_arg *results = args + graph->input_count;
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const feri_source *from = &spec->next_inputs[i];
        args[i] = from->is_input ? inputs[from->index] : made[from->index];
    }
    for (uint32_t i = 0; i < whole->output_count; i++) {
        if (spec->outputs[i].is_next) {
            results[spec->outputs[i].index] = outputs[i];
        }
    }
    fer_status status = feri_segment_run(spec->next, run, args, results);
    for (uint32_t i = 0; i < whole->output_count && status == FER_OK; i++) {
        if (spec->outputs[i].is_next) {
            outputs[i] = results[spec->outputs[i].index];
        }
    }
    feri_free(env, args, bytes);
    return status;
}

/* A specialisation with a next stage: its outputs are partly ours and partly the next stage's
 * inputs. */
static fer_status
staged_run(feri_state_slot *slot, feri_run *run, const feri_arg *inputs, feri_arg *outputs) {
    const feri_spec *spec = slot->entry->spec;
    const fer_graph *whole = spec->segment->graph;
    uint32_t made_count = spec->graph->output_count;
    uint64_t bytes = feri_mul_sat(made_count, sizeof(feri_arg) + 1);
    feri_arg *made = feri_alloc(run->env, bytes);
    if (made == NULL) {
        return feri_error_status();
    }
    uint8_t *is_ours = (uint8_t *)(made + made_count); /* goes to the caller, or was bound by it */
    for (uint32_t i = 0; i < whole->output_count; i++) {
        if (!spec->outputs[i].is_next) {
            made[spec->outputs[i].index] = outputs[i];
            is_ours[spec->outputs[i].index] = outputs[i].tensor != NULL || outputs[i].value != NULL;
        }
    }
    fer_status status = feri_run_state_execute(slot->state, run, inputs, made);
    if (status == FER_OK && spec->next != NULL) {
        status = next_run(spec, run, inputs, made, outputs);
    }
    for (uint32_t i = 0; i < whole->output_count && status == FER_OK; i++) {
        if (!spec->outputs[i].is_next) {
            outputs[i] = made[spec->outputs[i].index];
            is_ours[spec->outputs[i].index] = 1;
        }
    }
    for (uint32_t i = 0; i < made_count; i++) {
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
    feri_run run = {.env = segment->build->env, .deadline_at = segment->build->deadline_at};
    if (segment->has_open_dims || segment->has_deciding) {
        pthread_mutex_lock(&segment->lock);
        fer_status status = feri_segment_try_symbolic(segment);
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

fer_status feri_segment_trim(feri_segment *segment, int32_t level, uint64_t *freed_bytes) {
    pthread_mutex_lock(&segment->lock);
    fer_status status = FER_OK;
    uint64_t freed = 0;
    for (feri_spec *spec = segment->specs; spec != NULL && status == FER_OK; spec = spec->link) {
        if (spec->next != NULL) {
            status = feri_segment_trim(spec->next, level, &freed);
        }
        for (uint32_t i = 0; i < spec->body_count && status == FER_OK; i++) {
            status = feri_segment_trim(spec->bodies[i], level, &freed);
        }
    }
    uint64_t before = memory_in_use(segment->build);
    states_drop(segment, NULL, NULL);
    if (level >= FER_TRIM_SPECIALIZATIONS) {
        entries_drop(segment, /*lost_only=*/0, NULL);
        specs_sweep(segment, /*keep_symbolic=*/level < FER_TRIM_WEIGHTS);
    }
    uint64_t after = memory_in_use(segment->build);
    *freed_bytes += freed + (before > after ? before - after : 0);
    pthread_mutex_unlock(&segment->lock);
    return status;
}

uint64_t feri_segment_arena_bytes(feri_segment *segment) {
    uint64_t bytes = 0;
    pthread_mutex_lock(&segment->lock);
    for (uint32_t i = 0; i < segment->slot_count; i++) {
        feri_state_slot *slot = &segment->slots[i];
        int taken = slot_take(slot);
        bytes += taken && slot->state != NULL ? feri_run_state_bytes(slot->state) : 0;
        if (taken) {
            atomic_store_explicit(&slot->busy, 0, memory_order_release);
        }
    }
    for (feri_spec *spec = segment->specs; spec != NULL; spec = spec->link) {
        bytes += spec->next != NULL ? feri_segment_arena_bytes(spec->next) : 0;
        for (uint32_t i = 0; i < spec->body_count; i++) {
            bytes += feri_segment_arena_bytes(spec->bodies[i]);
        }
    }
    pthread_mutex_unlock(&segment->lock);
    return bytes;
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
