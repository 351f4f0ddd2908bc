/* SPDX-License-Identifier: Apache-2.0
 *
 * Inference of If, Loop, Scan and SequenceMap. If takes the branch a known condition picks, else
 * what both branches agree on. Loop and Scan start with the facts of the initial values and walk
 * the body until what it hands on contradicts nothing any more; what an iteration may change
 * becomes unknown. Semantics: the ONNX schemas of If, Loop and Scan (opset 25).
 */
#include "base/error.h"
#include "ferrule/op_selection.h"
#include "graph/infer_walk.h"

#include <string.h>

/* Each round a carried fact only loses knowledge; after this many the rest is given up at once. */
#define MOST_ROUNDS 6

static void forget(feri_fact *fact) {
    fact->rank = -1;
    fact->dims = NULL;
    fact->elements = NULL;
    fact->element_count = 0;
    fact->data = NULL;
}

/* One control node being inferred. */
typedef struct control {
    feri_infer *call;
    const feri_gnode *node;
    feri_infer_walk *walk;
    fer_graph *body; /* that is looked at */
    /* Loop and Scan: what is carried from round to round, with arrays of its own */
    feri_fact *states;
    uint32_t state_count;
    uint32_t first_input;  /* of the states, among the body's */
    uint32_t first_output; /* likewise */
    feri_sym length;       /* of what is scanned and stacked */
} control;

static int types_clash(const feri_fact *a, const feri_fact *b) {
    int optional = a->kind == FER_KIND_OPTIONAL || b->kind == FER_KIND_OPTIONAL;
    return (a->kind != 0 && b->kind != 0 && a->kind != b->kind && !optional) ||
           (a->dtype != 0 && b->dtype != 0 && a->dtype != b->dtype);
}

static int weaken_syms(feri_sym *syms, const feri_sym *others, uint32_t count) {
    int changed = 0;
    for (uint32_t s = 0; s < count; s++) {
        if (!feri_sym_is_unknown(syms[s]) && !feri_sym_equal(syms[s], others[s])) {
            syms[s] = feri_sym_unknown();
            changed = 1;
        }
    }
    return changed;
}

/* state becomes what holds of state and of other; 1 when it lost something. state owns its arrays
 * (they are changed in place). */
static int weaken(feri_fact *state, const feri_fact *other) {
    int changed = 0;
    if (state->kind == 0) {
        state->kind = other->kind;
        changed |= other->kind != 0;
    }
    if (state->dtype == 0) {
        state->dtype = other->dtype;
        changed |= other->dtype != 0;
    }
    if (state->rank >= 0 && state->rank != other->rank) {
        forget(state);
        return 1;
    }
    if (state->rank > 0) {
        changed |= weaken_syms(state->dims, other->dims, (uint32_t)state->rank);
    }
    if (state->elements == NULL) {
        return changed;
    }
    if (other->elements == NULL || other->element_count != state->element_count) {
        state->elements = NULL;
        state->element_count = 0;
        return 1;
    }
    return changed | weaken_syms(state->elements, other->elements, state->element_count);
}

static fer_status kinds_differ(
    const control *c, const char *what, uint32_t index, const feri_fact *a, const feri_fact *b) {
    return feri_fail(FER_INVALID_MODEL,
                     "%s '%s': %s %u is %s on one way and %s on the other; both must have one type",
                     feri_op_name(c->node->op),
                     c->node->name,
                     what,
                     index,
                     fer_dtype_name(a->dtype),
                     fer_dtype_name(b->dtype));
}

/* An axis counted from either end; -1 where there is none such. */
static int64_t axis_of(int64_t axis, int32_t rank) {
    axis += axis < 0 ? rank : 0;
    return axis >= 0 && axis < rank ? axis : -1;
}

/* ---- bodies ---- */

static feri_fact *body_input(const control *c, uint32_t index) {
    return &c->body->values[c->body->inputs[index]].fact;
}

static feri_fact *body_output(const control *c, uint32_t index) {
    return &c->body->values[c->body->outputs[index]].fact;
}

static void use_body(control *c, const char *attr) { c->body = feri_node_body(c->node, attr); }

/* A copy that outlives the body: small contents as elements, no data. */
static fer_status take_fact(const control *c, feri_fact *source, feri_fact *out) {
    (void)feri_fact_elements(source, c->call->bump);
    FER_TRY(feri_fact_copy(source, c->call->bump, out));
    out->data = NULL;
    return FER_OK;
}

/* Copies into the body, so that the body may outlive a change of the state. */
static fer_status feed_input(const control *c, uint32_t index, const feri_fact *fact) {
    return feri_fact_copy(fact, &c->body->bump, body_input(c, index));
}

static fer_status
feed_scalar(const control *c, uint32_t index, fer_dtype dtype, feri_sym *element) {
    const feri_fact fact = {.kind = FER_KIND_TENSOR,
                            .dtype = dtype,
                            .elements = element,
                            .element_count = element != NULL};
    return feed_input(c, index, &fact);
}

/* Captured facts lie in the graph around, which outlives the body. */
static fer_status walk_body(const control *c) {
    fer_graph *body = c->body;
    uint32_t formals = body->input_count - body->capture_count;
    for (uint32_t k = 0; k < body->capture_count; k++) {
        const feri_fact *outer = c->call->in[body->captures[k]];
        if (outer != NULL) {
            *body_input(c, formals + k) = *outer;
        }
    }
    return feri_infer_walk_graph(c->walk, body);
}

static int known_element(feri_fact *fact, feri_bump *bump, int64_t *out_number) {
    feri_sym *elements = fact != NULL ? feri_fact_elements(fact, bump) : NULL;
    if (elements == NULL || fact->element_count != 1 || !feri_sym_is_number(elements[0])) {
        return 0;
    }
    *out_number = elements[0].number;
    return 1;
}

/* ---- If ---- */

/* The outputs have what the branch has. */
static fer_status take_branch(const control *c) {
    for (uint32_t o = 0; o < c->call->out_count; o++) {
        if (c->call->out[o] != NULL) {
            FER_TRY(take_fact(c, body_output(c, o), c->call->out[o]));
        }
    }
    return FER_OK;
}

/* The outputs keep what is so in the branch, too; where it fails, their types. */
static fer_status merge_branch(const control *c, fer_status status) {
    for (uint32_t o = 0; o < c->call->out_count; o++) {
        feri_fact *out = c->call->out[o];
        if (out == NULL) {
            continue;
        }
        if (status != FER_OK) {
            forget(out);
            continue;
        }
        feri_fact *fact = body_output(c, o);
        if (types_clash(out, fact)) {
            return kinds_differ(c, "output", o, out, fact);
        }
        (void)feri_fact_elements(fact, c->call->bump);
        (void)weaken(out, fact);
    }
    return FER_OK;
}

/* A branch that can only fail is a branch that is never taken: exporters leave such branches in.
 * Nothing but the types of the other one is believed then. */
static fer_status infer_if(control *c) {
    int64_t condition = 0;
    int is_known = known_element(c->call->in[0], c->call->bump, &condition);
    use_body(c, is_known && condition == 0 ? "else_branch" : "then_branch");
    fer_status status = walk_body(c);
    if (is_known) {
        FER_TRY(status);
        return take_branch(c);
    }
    if (status == FER_OK) {
        FER_TRY(take_branch(c));
    } else if (status != FER_INVALID_MODEL) {
        return status;
    }
    use_body(c, "else_branch");
    fer_status other = walk_body(c);
    if (other != FER_OK && (other != FER_INVALID_MODEL || status != FER_OK)) {
        return other;
    }
    if (status != FER_OK) {
        FER_TRY(take_branch(c));
    }
    return merge_branch(c, status != FER_OK ? status : other);
}

/* ---- what Loop and Scan share ---- */

static fer_status start_states(control *c) {
    c->states = FERI_BUMP_ARRAY(c->call->bump, feri_fact, c->state_count);
    if (c->states == NULL) {
        return feri_error_status();
    }
    for (uint32_t s = 0; s < c->state_count; s++) {
        feri_fact *initial = c->call->in[c->first_input + s];
        c->states[s].rank = -1;
        if (initial != NULL) {
            FER_TRY(take_fact(c, initial, &c->states[s]));
        }
    }
    return FER_OK;
}

static fer_status settle_round(const control *c, int *out_changed) {
    *out_changed = 0;
    for (uint32_t s = 0; s < c->state_count; s++) {
        feri_fact *after = body_output(c, c->first_output + s);
        if (types_clash(&c->states[s], after)) {
            return kinds_differ(c, "carried value", s, &c->states[s], after);
        }
        (void)feri_fact_elements(after, c->call->bump);
        *out_changed |= weaken(&c->states[s], after);
    }
    return FER_OK;
}

/* Walks the body until the states hold for every iteration. */
static fer_status settle(const control *c) {
    for (int round = 0;; round++) {
        int gives_up = round >= MOST_ROUNDS || c->walk->spent > c->walk->budget;
        for (uint32_t s = 0; s < c->state_count; s++) {
            if (gives_up) {
                forget(&c->states[s]);
            }
            FER_TRY(feed_input(c, c->first_input + s, &c->states[s]));
        }
        int changed = 0;
        FER_TRY(walk_body(c));
        FER_TRY(settle_round(c, &changed));
        if (!changed || gives_up) { /* having given up, one walk must do */
            return FER_OK;
        }
    }
}

/* out: the body's fact with a dim of the length put in at axis (counted in the result's rank). */
static fer_status
stack_fact(const control *c, const feri_fact *slice, int64_t axis, feri_fact *out) {
    feri_sym dims[FER_MAX_RANK + 1];
    out->kind = FER_KIND_TENSOR;
    out->dtype = slice->dtype;
    if (slice->rank < 0) {
        forget(out);
        return FER_OK;
    }
    int32_t rank = slice->rank + 1;
    int64_t at = axis_of(axis, rank);
    if (at < 0 || rank > FER_MAX_RANK) {
        return feri_fail(FER_INVALID_MODEL,
                         "%s '%s': output axis %lld does not fit a result of rank %d",
                         feri_op_name(c->node->op),
                         c->node->name,
                         (long long)axis,
                         rank);
    }
    for (int32_t d = 0, from = 0; d < rank; d++) {
        dims[d] = d == at ? c->length : slice->dims[from++];
    }
    return feri_fact_set_dims(out, c->call->bump, rank, dims);
}

/* ---- Loop ---- */

static int may_stop(const control *c, feri_fact *condition) {
    int64_t number = 0;
    return !known_element(condition, c->call->bump, &number) || number == 0;
}

/* The trip count where the condition cannot end the loop early. */
static feri_sym trip_count(const control *c) {
    feri_fact *most = c->call->in[0];
    feri_sym *elements = most != NULL ? feri_fact_elements(most, c->call->bump) : NULL;
    if (elements == NULL || most->element_count != 1 || may_stop(c, body_output(c, 0)) ||
        (c->call->in[1] != NULL && may_stop(c, c->call->in[1]))) {
        return feri_sym_unknown();
    }
    return feri_sym_max(c->call->terms, elements[0], feri_sym_number(0));
}

/* ---- Scan ---- */

static int64_t list_entry(const control *c, const char *name, uint32_t index) {
    const fer_attr *attr = feri_attr_find(c->node->attrs, c->node->attr_count, name);
    return attr != NULL && index < attr->count ? attr->value.ints[index] : 0;
}

/* Feeds slice number index of the scanned inputs and joins the length of the scan. */
static fer_status feed_slice(control *c, uint32_t index) {
    const feri_fact *scanned = c->call->in[c->state_count + index];
    feri_sym dims[FER_MAX_RANK];
    feri_fact slice = {
        .kind = FER_KIND_TENSOR, .dtype = scanned->dtype, .rank = scanned->rank, .dims = dims};
    if (scanned->rank >= 0) {
        int64_t axis = list_entry(c, "scan_input_axes", index);
        int64_t at = axis_of(axis, scanned->rank);
        if (at < 0) {
            return feri_fail(FER_INVALID_MODEL,
                             "Scan '%s': axis %lld of scan input %u does not fit its rank %d",
                             c->node->name,
                             (long long)axis,
                             index,
                             scanned->rank);
        }
        feri_sym here = scanned->dims[at];
        if (!feri_sym_is_unknown(c->length) && !feri_sym_is_unknown(here) &&
            !feri_terms_require_equal(c->call->terms, c->length, here)) {
            return feri_fail(FER_INVALID_MODEL,
                             "Scan '%s': scan input %u has another length than the ones before it",
                             c->node->name,
                             index);
        }
        if (feri_sym_is_unknown(c->length) || feri_sym_is_number(here)) {
            c->length = here;
        }
        slice.rank = 0;
        for (int32_t d = 0; d < scanned->rank; d++) {
            if (d != at) {
                dims[slice.rank++] = scanned->dims[d];
            }
        }
    }
    return feed_input(c, c->state_count + index, &slice);
}

/* What an iteration makes beside the states is stacked: along axis 0 by Loop. */
static fer_status infer_repeated(control *c) {
    int is_loop = feri_control_kind(c->node->op) == FERI_CONTROL_LOOP;
    uint32_t scanned =
        (uint32_t)feri_attr_int(c->node->attrs, c->node->attr_count, "num_scan_inputs", 0);
    c->state_count = c->node->formal_count - (is_loop ? 2 : scanned);
    c->first_input = is_loop ? 2 : 0;
    c->first_output = (uint32_t)is_loop;
    c->length = feri_sym_unknown();
    FER_TRY(start_states(c));
    if (is_loop) {
        feri_sym goes_on = feri_sym_number(1);
        FER_TRY(feed_scalar(c, 0, FER_I64, NULL));
        FER_TRY(feed_scalar(c, 1, FER_BOOL, &goes_on));
    }
    for (uint32_t i = 0; i < scanned && !is_loop && FERI_HAS_OP(Scan); i++) {
        FER_TRY(feed_slice(c, i));
    }
    FER_TRY(settle(c));
    if (is_loop) {
        c->length = trip_count(c);
    }
    for (uint32_t o = 0; o < c->call->out_count; o++) {
        feri_fact *out = c->call->out[o];
        if (out != NULL && o < c->state_count) {
            *out = c->states[o];
        } else if (out != NULL) {
            int64_t axis = list_entry(c, "scan_output_axes", o - c->state_count);
            FER_TRY(stack_fact(c, body_output(c, c->first_output + o), axis, out));
        }
    }
    return FER_OK;
}

/* ---- SequenceMap ---- */

/* An item of a sequence has its dtype; shapes of items are not known. */
static fer_status infer_sequence_map(const control *c) {
    const feri_infer *call = c->call;
    for (uint32_t i = 0; i < c->node->formal_count; i++) {
        const feri_fact *operand = call->in[i];
        feri_fact item = {.kind = FER_KIND_TENSOR, .rank = -1};
        item.dtype = operand != NULL ? operand->dtype : FER_DTYPE_NONE;
        int is_tensor = operand != NULL && operand->kind == FER_KIND_TENSOR;
        FER_TRY(feed_input(c, i, is_tensor ? operand : &item));
    }
    FER_TRY(walk_body(c));
    for (uint32_t o = 0; o < call->out_count && o < c->body->output_count; o++) {
        if (call->out[o] != NULL) {
            call->out[o]->kind = FER_KIND_SEQUENCE;
            call->out[o]->dtype = body_output(c, o)->dtype;
        }
    }
    return FER_OK;
}

fer_status
feri_infer_walk_control(feri_infer_walk *walk, const feri_gnode *node, feri_infer *call) {
    FER_TRY(feri_op_check(call));
    control c = {.walk = walk, .node = node, .call = call};
    int32_t kind = feri_control_kind(node->op);
    use_body(&c, "body");
    if (kind == FERI_CONTROL_IF && FERI_HAS_OP(If)) {
        return infer_if(&c);
    }
    if (kind == FERI_CONTROL_SEQUENCE_MAP && FERI_HAS_OP(SequenceMap)) {
        return infer_sequence_map(&c);
    }
    if ((kind == FERI_CONTROL_LOOP || kind == FERI_CONTROL_SCAN) &&
        (FERI_HAS_OP(Loop) || FERI_HAS_OP(Scan))) {
        return infer_repeated(&c);
    }
    return feri_fail(FER_UNSUPPORTED,
                     "op '%s' (node '%s') is not yet supported",
                     feri_op_name(node->op),
                     node->name);
}
