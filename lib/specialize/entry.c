/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries: the specialisation that serves a set of inputs, and its binding at their dims.
 */
#include "base/error.h"
#include "specialize/segment.h"
#include "tensor/dtype.h"

#include <string.h>

/* ---- inputs ---- */

static fer_status input_check(const fer_graph *graph, uint32_t index, const feri_arg *arg) {
    const feri_gvalue *value = &graph->values[graph->inputs[index]];
    const feri_fact *fact = &value->fact;
    const char *name = value->name;
    if (arg->tensor == NULL && arg->value == NULL) {
        return feri_fail(FER_INVALID_INPUT, "input '%s' (%u) is missing", name, index);
    }
    if (arg->tensor == NULL) {
        int fits = fact->kind != FER_KIND_TENSOR &&
                   (fact->kind != FER_KIND_SEQUENCE || arg->value->kind == FER_KIND_SEQUENCE);
        return fits ? FER_OK
                    : feri_fail(FER_INVALID_INPUT,
                                "input '%s' must be a %s, not %s",
                                name,
                                fact->kind == FER_KIND_TENSOR ? "tensor" : "sequence",
                                arg->value->kind == FER_KIND_SEQUENCE ? "a sequence"
                                                                      : "an optional");
    }
    if (fact->kind != 0 && fact->kind != FER_KIND_TENSOR && fact->kind != FER_KIND_OPTIONAL) {
        return feri_fail(FER_INVALID_INPUT, "input '%s' must be a sequence, not a tensor", name);
    }
    if (fact->dtype != FER_DTYPE_NONE && arg->tensor->dtype != fact->dtype) {
        return feri_fail(FER_INVALID_INPUT,
                         "input '%s' must be %s, not %s: convert it first",
                         name,
                         fer_dtype_name(fact->dtype),
                         fer_dtype_name(arg->tensor->dtype));
    }
    if (fact->kind != FER_KIND_TENSOR || fact->rank < 0) {
        return FER_OK;
    }
    if ((int32_t)arg->tensor->rank != fact->rank) {
        return feri_fail(FER_INVALID_INPUT,
                         "input '%s' must have rank %d, not %u",
                         name,
                         fact->rank,
                         arg->tensor->rank);
    }
    for (int32_t i = 0; i < fact->rank; i++) {
        if (feri_sym_is_number(fact->dims[i]) && arg->tensor->dims[i] != fact->dims[i].number) {
            return feri_fail(FER_INVALID_INPUT,
                             "dim %d of input '%s' must be %lld, not %lld",
                             i,
                             name,
                             (long long)fact->dims[i].number,
                             (long long)arg->tensor->dims[i]);
        }
    }
    return FER_OK;
}

static fer_status inputs_check(const feri_segment *segment, const feri_arg *inputs) {
    for (uint32_t i = 0; i < segment->graph->input_count; i++) {
        FER_TRY(input_check(segment->graph, i, &inputs[i]));
    }
    return FER_OK;
}

/* ---- now graphs ---- */

/* A symbol of now for the same dim of the segment's graph, or a new one. */
static feri_sym symbol_for(const feri_terms *terms, fer_graph *now, const feri_sym *dim) {
    uint32_t symbol = dim == NULL || feri_sym_is_unknown(*dim)
                          ? UINT32_MAX
                          : feri_terms_symbol_index(terms, *dim);
    const char *name = symbol == UINT32_MAX ? NULL : feri_terms_symbol_name(terms, symbol);
    return feri_terms_symbol(now->terms, name != NULL && name[0] == '?' ? NULL : name, 0);
}

/* What a specialisation is made for: numbers from inputs (NULL: none are given), symbols for dims
 * that are open without them, and with them for those at open (NULL: none). */
typedef struct wish {
    feri_segment *segment;
    feri_run *run;
    const feri_arg *inputs;
    const feri_dim_place *open;
} wish;

/* The tensor's contents as elements of the fact, where they decide. Copied: facts outlive it. */
static fer_status contents_take(
    const wish *w, uint32_t index, const fer_tensor *tensor, feri_bump *bump, feri_fact *fact) {
    uint64_t bytes = feri_signature_contents(w->segment, index, tensor);
    if (!w->segment->decides[index] || (bytes == 0 && tensor->element_count > 0)) {
        return FER_OK;
    }
    void *data = feri_bump_alloc(bump, bytes);
    if (data == NULL) {
        return feri_error_status();
    }
    if (fer_tensor_data(tensor) == NULL && w->run->record != NULL) {
        w->run->record->shape_wait_count++;
    }
    FER_TRY(fer_tensor_read(tensor, 0, data, bytes));
    fact->data = data;
    (void)feri_fact_elements(fact, bump);
    fact->data = NULL;
    return FER_OK;
}

static fer_status input_add(const wish *w, uint32_t index, fer_graph *now) {
    const fer_graph *graph = w->segment->graph;
    const feri_gvalue *value = &graph->values[graph->inputs[index]];
    const feri_fact *given = &value->fact;
    const fer_tensor *tensor = w->inputs == NULL ? NULL : w->inputs[index].tensor;
    int32_t rank = tensor == NULL ? given->rank : (int32_t)tensor->rank;
    feri_sym dims[FER_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) {
        const feri_sym *dim = i < given->rank ? &given->dims[i] : NULL;
        int is_open =
            tensor == NULL
                ? !feri_sym_is_number(*dim)
                : w->open != NULL &&
                      feri_same_symbol(w->segment, *w->open, (feri_dim_place){index, (uint32_t)i});
        dims[i] = is_open          ? symbol_for(graph->terms, now, dim)
                  : tensor == NULL ? *dim
                                   : feri_sym_number(tensor->dims[i]);
    }
    FER_TRY(feri_terms_status(now->terms));
    fer_value_id id = 0;
    FER_TRY(feri_graph_new_input(now, value->name, &id));
    feri_fact *fact = &now->values[id].fact;
    fact->kind = tensor == NULL ? given->kind : FER_KIND_TENSOR;
    fact->dtype = tensor == NULL ? given->dtype : tensor->dtype;
    fact->is_optional_of_sequence = tensor == NULL && given->is_optional_of_sequence;
    FER_TRY(feri_fact_set_dims(fact, &now->bump, rank, dims));
    return tensor == NULL ? FER_OK : contents_take(w, index, tensor, &now->bump, fact);
}

/* A graph with the segment's inputs. */
static fer_status now_create(const wish *w, fer_graph **out_now) {
    const fer_graph *graph = w->segment->graph;
    fer_graph *now = NULL;
    FER_TRY(feri_stage_create(graph, &now));
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < graph->input_count && status == FER_OK; i++) {
        status = input_add(w, i, now);
    }
    if (status != FER_OK) {
        feri_graph_destroy(now);
        return status;
    }
    *out_now = now;
    return FER_OK;
}

/* ---- signatures: compared by key.c ---- */

static fer_status signature_make(const feri_segment *segment,
                                 const feri_arg *inputs,
                                 int with_contents,
                                 uint8_t **out_signature,
                                 uint64_t *out_bytes) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < segment->graph->input_count; i++) {
        const fer_tensor *tensor = inputs[i].tensor;
        bytes += 2 * sizeof(int32_t);
        if (tensor != NULL) {
            bytes += tensor->rank * sizeof(int64_t);
            bytes += with_contents ? feri_signature_contents(segment, i, tensor) : 0;
        }
    }
    uint8_t *at = feri_alloc(segment->build->env, bytes);
    if (at == NULL) {
        return feri_error_status();
    }
    *out_signature = at;
    *out_bytes = bytes;
    for (uint32_t i = 0; i < segment->graph->input_count; i++) {
        const fer_tensor *tensor = inputs[i].tensor;
        int32_t head[2] = {tensor == NULL ? FER_DTYPE_NONE : tensor->dtype,
                           tensor == NULL ? inputs[i].value->kind : (int32_t)tensor->rank};
        memcpy(at, head, sizeof(head));
        at += sizeof(head);
        if (tensor == NULL) {
            continue;
        }
        memcpy(at, tensor->dims, tensor->rank * sizeof(int64_t));
        at += tensor->rank * sizeof(int64_t);
        uint64_t contents = with_contents ? feri_signature_contents(segment, i, tensor) : 0;
        if (contents > 0) {
            FER_TRY(fer_tensor_read(tensor, 0, at, contents));
            at += contents;
        }
    }
    return FER_OK;
}

/* ---- specialisations ---- */

/* Makes and links what is wished. No spec: symbols did not work out. */
static fer_status spec_make(const wish *w, feri_spec **out_spec) {
    fer_graph *now = NULL;
    FER_TRY(now_create(w, &now));
    uint64_t start = feri_clock_ns();
    feri_spec *spec = NULL;
    fer_status status = feri_spec_create(
        w->segment, now, /*is_symbolic=*/w->inputs == NULL || w->open != NULL, &spec);
    if (w->run->record != NULL) {
        w->run->record->compile_ns += feri_clock_ns() - start;
    }
    if (spec == NULL) {
        return status;
    }
    spec->open = w->open != NULL ? *w->open : (feri_dim_place){0, 0};
    if (w->inputs != NULL) {
        status = signature_make(
            w->segment, w->inputs, /*with_contents=*/1, &spec->signature, &spec->signature_bytes);
        if (status != FER_OK) {
            feri_spec_destroy(spec);
            return status;
        }
    }
    spec->link = w->segment->specs;
    *out_spec = w->segment->specs = spec;
    return FER_OK;
}

fer_status feri_segment_try_symbolic(feri_segment *segment, feri_run *run) {
    const fer_graph *graph = segment->graph;
    /* What has worked is tried again after a failure: a device may come back. */
    segment->symbolic = segment->symbolic == 1 ? 1 : 2;
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const feri_fact *fact = &graph->values[graph->inputs[i]].fact;
        if (fact->kind != FER_KIND_TENSOR || fact->rank < 0) {
            return FER_OK;
        }
    }
    feri_spec *spec = NULL;
    FER_TRY(spec_make(&(wish){.segment = segment, .run = run}, &spec));
    segment->symbolic = spec != NULL ? 1 : 2; /* 2: the devices that are there want numbers */
    return FER_OK;
}

/* Numbers for the symbols that inputs have, 0 for the rest: those are of bodies, which are
 * specialised by themselves, so any dim does. */
static fer_status symbols_fill(const feri_spec *spec, const feri_arg *inputs, int64_t *values) {
    const fer_graph *graph = spec->graph;
    /* The second round sees what a 0 of the first took for not yet set. */
    for (uint32_t i = 0; i < 2 * graph->input_count; i++) {
        uint32_t input = i % graph->input_count;
        const fer_tensor *tensor = inputs[input].tensor;
        const feri_gvalue *value = &graph->values[graph->inputs[input]];
        for (int32_t k = 0; tensor != NULL && k < value->fact.rank; k++) {
            uint32_t symbol = feri_terms_symbol_index(graph->terms, value->fact.dims[k]);
            if (symbol == UINT32_MAX) {
                continue;
            }
            int64_t *number = &values[symbol];
            *number = *number == 0 ? tensor->dims[k] : *number;
            if (*number != tensor->dims[k]) {
                return feri_fail(FER_INVALID_INPUT,
                                 "dim %d of input '%s' is %lld, but '%s' is %lld elsewhere",
                                 k,
                                 value->name,
                                 (long long)tensor->dims[k],
                                 feri_terms_symbol_name(graph->terms, symbol),
                                 (long long)*number);
            }
        }
    }
    return FER_OK;
}

static fer_status binding_make(feri_segment *segment,
                               feri_spec *spec,
                               const feri_arg *inputs,
                               feri_binding **out_binding) {
    feri_env *env = segment->build->env;
    uint64_t bytes = feri_mul_sat(feri_terms_symbol_count(spec->graph->terms), sizeof(int64_t));
    int64_t *values = feri_alloc(env, bytes);
    if (values == NULL) {
        return feri_error_status();
    }
    fer_status status = symbols_fill(spec, inputs, values);
    if (status == FER_OK) {
        status = feri_binding_create(spec->plan, values, out_binding);
    }
    feri_free(env, values, bytes);
    return status;
}

/* So many specialisations that differ in one dim alone, and the next tries that dim as a symbol. */
enum { MISSES_BEFORE_SYMBOL = 4 };

/* FERI_KEYS_...: how the inputs differ from those a specialisation was made for. */
static int difference(const wish *w, const feri_spec *spec, feri_dim_place *out_place) {
    return feri_signature_compare(w->segment, spec->signature, 1, w->inputs, out_place);
}

static feri_spec *spec_serving(const wish *w) {
    for (feri_spec *spec = w->segment->specs; spec != NULL; spec = spec->link) {
        if (feri_plan_is_lost(spec->plan)) {
            continue;
        }
        feri_dim_place place;
        int differs = spec->signature == NULL ? FERI_KEYS_EQUAL : difference(w, spec, &place);
        if (differs == FERI_KEYS_EQUAL || (differs == FERI_KEYS_ONE_DIM && spec->is_symbolic &&
                                           feri_same_symbol(w->segment, spec->open, place))) {
            return spec;
        }
    }
    return NULL;
}

/* Whether a dim keeps changing that may do as a symbol. */
static int dim_that_changes(const wish *w, feri_dim_place *out_place) {
    const feri_segment *segment = w->segment;
    uint32_t count = 0;
    for (const feri_spec *first = segment->specs; count < MISSES_BEFORE_SYMBOL;
         first = first->link) {
        if (first == NULL) {
            return 0;
        }
        count = 0;
        if (first->is_symbolic || difference(w, first, out_place) != FERI_KEYS_ONE_DIM) {
            continue;
        }
        for (const feri_spec *spec = first; spec != NULL; spec = spec->link) {
            feri_dim_place other;
            count += !spec->is_symbolic && difference(w, spec, &other) == FERI_KEYS_ONE_DIM &&
                     feri_same_symbol(segment, *out_place, other);
        }
    }
    for (uint32_t i = 0; i < segment->refused_count; i++) {
        if (feri_same_symbol(segment, segment->refused[i], *out_place)) {
            return 0;
        }
    }
    return segment->refused_count < sizeof(segment->refused) / sizeof(segment->refused[0]);
}

/* No spec: the dim at place does not do as a symbol. */
static fer_status spec_one_symbol(const wish *w, feri_dim_place place, feri_spec **out_spec) {
    feri_segment *segment = w->segment;
    feri_build *build = segment->build;
    wish open = *w;
    open.open = &place;
    fer_status status = spec_make(&open, out_spec);
    if (status != FER_OK && status != FER_INVALID_MODEL && status != FER_UNSUPPORTED) {
        return status;
    }
    if (*out_spec == NULL) {
        const char *name = segment->graph->values[segment->graph->inputs[place.input]].name;
        static const char sentence[] = "dim %u of input '%s' keeps changing and cannot be a symbol "
                                       "on these devices: each of its values is compiled%s";
        segment->refused[segment->refused_count++] = place;
        pthread_mutex_lock(&build->lock);
        feri_text_add(&build->pass_report, sentence, place.axis, name, "\n");
        pthread_mutex_unlock(&build->lock);
        feri_log(build->env, FER_LOG_INFO, sentence, place.axis, name, "");
    }
    return FER_OK;
}

static fer_status spec_find(const wish *w, feri_spec **out_spec) {
    feri_segment *segment = w->segment;
    if (segment->is_final) {
        return feri_segment_final_spec(segment, out_spec);
    }
    feri_dim_place place;
    if (segment->symbolic == 0) {
        FER_TRY(feri_segment_try_symbolic(segment, w->run));
    }
    *out_spec = spec_serving(w);
    if (*out_spec == NULL && segment->symbolic == 1) { /* what served all is lost */
        FER_TRY(feri_segment_try_symbolic(segment, w->run));
        *out_spec = spec_serving(w);
    }
    if (*out_spec == NULL && segment->has_open_dims && dim_that_changes(w, &place)) {
        FER_TRY(spec_one_symbol(w, place, out_spec));
    }
    if (*out_spec != NULL) {
        return FER_OK;
    }
    fer_status status = spec_make(w, out_spec);
    if (status == FER_INVALID_MODEL && segment->has_open_dims) {
        /* The model was fine until these inputs came: it is they that do not fit. */
        status = feri_error_set_status(FER_INVALID_INPUT);
    }
    return status;
}

fer_status feri_entry_create(feri_segment *segment,
                             feri_run *run,
                             const feri_arg *inputs,
                             feri_entry **out_entry) {
    feri_env *env = segment->build->env;
    FER_TRY(inputs_check(segment, inputs));
    feri_spec *spec = NULL;
    FER_TRY(spec_find(&(wish){segment, run, inputs, /*open=*/NULL}, &spec));
    feri_entry *entry = feri_alloc(env, sizeof(*entry));
    if (entry == NULL) {
        return feri_error_status();
    }
    entry->spec = spec;
    fer_status status = signature_make(segment,
                                       inputs,
                                       /*with_contents=*/spec->signature != NULL,
                                       &entry->signature,
                                       &entry->signature_bytes);
    if (status == FER_OK) {
        status = binding_make(segment, spec, inputs, &entry->binding);
    }
    if (status != FER_OK) {
        feri_free(env, entry->signature, entry->signature_bytes);
        feri_free(env, entry, sizeof(*entry));
        return status;
    }
    spec->entry_count++;
    segment->entry_bytes += sizeof(*entry) + entry->signature_bytes + entry->binding->total_bytes;
    entry->link = segment->entries;
    segment->entries = entry;
    *out_entry = entry;
    return FER_OK;
}

void feri_entry_destroy(feri_segment *segment, feri_entry *entry) {
    feri_entry **link = &segment->entries;
    while (*link != entry) {
        link = &(*link)->link;
    }
    *link = entry->link;
    segment->entry_bytes -= sizeof(*entry) + entry->signature_bytes + entry->binding->total_bytes;
    entry->spec->entry_count--;
    feri_binding_destroy(entry->binding);
    feri_free(segment->build->env, entry->signature, entry->signature_bytes);
    feri_free(segment->build->env, entry, sizeof(*entry));
}
