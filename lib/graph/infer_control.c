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

/* A copy that outlives the graph it comes from: small contents as elements, no data. */
static fer_status take_fact(feri_fact *source, feri_bump *bump, feri_fact *out) {
    (void)feri_fact_elements(source, bump);
    feri_fact copy;
    memset(&copy, 0, sizeof(copy));
    FER_TRY(feri_fact_copy(source, bump, &copy));
    copy.data = NULL;
    *out = copy;
    return FER_OK;
}

static fer_status kinds_differ(const feri_gnode *node,
                               const char *what,
                               uint32_t index,
                               const feri_fact *a,
                               const feri_fact *b) {
    return feri_fail(FER_INVALID_MODEL,
                     "%s '%s': %s %u is %s on one way and %s on the other; both must have one type",
                     feri_op_name(node->op),
                     node->name,
                     what,
                     index,
                     fer_dtype_name(a->dtype),
                     fer_dtype_name(b->dtype));
}

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

/* ---- bodies ---- */

static feri_fact *body_input(fer_graph *body, uint32_t index) {
    return &body->values[body->inputs[index]].fact;
}

static feri_fact *body_output(fer_graph *body, uint32_t index) {
    return &body->values[body->outputs[index]].fact;
}

/* Captured facts lie in the graph around, which outlives the body. */
static void feed_captures(fer_graph *body, const feri_infer *call) {
    uint32_t formals = body->input_count - body->capture_count;
    for (uint32_t k = 0; k < body->capture_count; k++) {
        const feri_fact *outer = call->in[body->captures[k]];
        if (outer != NULL) {
            *body_input(body, formals + k) = *outer;
        }
    }
}

/* Copies into the body, so that the body may outlive a change of the state. */
static fer_status feed_input(fer_graph *body, uint32_t index, const feri_fact *fact) {
    feri_fact copy;
    memset(&copy, 0, sizeof(copy));
    FER_TRY(feri_fact_copy(fact, &body->bump, &copy));
    *body_input(body, index) = copy;
    return FER_OK;
}

static fer_status feed_scalar(fer_graph *body, uint32_t index, fer_dtype dtype, feri_sym element) {
    feri_fact fact = {.kind = FER_KIND_TENSOR, .dtype = dtype};
    if (!feri_sym_is_unknown(element)) {
        fact.elements = &element;
        fact.element_count = 1;
    }
    return feed_input(body, index, &fact);
}

/* ---- If ---- */

static int known_element(feri_fact *fact, feri_bump *bump, int64_t *out_number) {
    feri_sym *elements = fact != NULL ? feri_fact_elements(fact, bump) : NULL;
    if (elements == NULL || fact->element_count != 1 || !feri_sym_is_number(elements[0])) {
        return 0;
    }
    *out_number = elements[0].number;
    return 1;
}

static fer_status walk_branch(feri_infer_walk *walk,
                              const feri_gnode *node,
                              const feri_infer *call,
                              const char *attr) {
    fer_graph *branch = feri_node_body(node, attr);
    feed_captures(branch, call);
    return feri_infer_walk_graph(walk, branch);
}

static fer_status take_branch(const feri_gnode *node, const feri_infer *call, const char *attr) {
    fer_graph *branch = feri_node_body(node, attr);
    for (uint32_t o = 0; o < call->out_count; o++) {
        if (call->out[o] != NULL) {
            FER_TRY(take_fact(body_output(branch, o), call->bump, call->out[o]));
        }
    }
    return FER_OK;
}

static fer_status merge_branches(const feri_gnode *node, const feri_infer *call) {
    fer_graph *other = feri_node_body(node, "else_branch");
    FER_TRY(take_branch(node, call, "then_branch"));
    for (uint32_t o = 0; o < call->out_count; o++) {
        if (call->out[o] == NULL) {
            continue;
        }
        feri_fact *fact = body_output(other, o);
        if (types_clash(call->out[o], fact)) {
            return kinds_differ(node, "output", o, call->out[o], fact);
        }
        (void)feri_fact_elements(fact, call->bump);
        (void)weaken(call->out[o], fact);
    }
    return FER_OK;
}

/* A branch that can only fail is a branch that is never taken: exporters leave such branches in.
 * Nothing but the types of the other one is believed then. */
static fer_status
one_branch_fails(const feri_gnode *node, const feri_infer *call, const char *good) {
    FER_TRY(take_branch(node, call, good));
    for (uint32_t o = 0; o < call->out_count; o++) {
        if (call->out[o] != NULL) {
            forget(call->out[o]);
        }
    }
    return FER_OK;
}

static fer_status infer_if(feri_infer_walk *walk, const feri_gnode *node, feri_infer *call) {
    int64_t condition = 0;
    if (known_element(call->in[0], call->bump, &condition)) {
        const char *taken = condition != 0 ? "then_branch" : "else_branch";
        FER_TRY(walk_branch(walk, node, call, taken));
        return take_branch(node, call, taken);
    }
    fer_status then_status = walk_branch(walk, node, call, "then_branch");
    if (then_status != FER_OK && then_status != FER_INVALID_MODEL) {
        return then_status;
    }
    fer_status else_status = walk_branch(walk, node, call, "else_branch");
    if (else_status != FER_OK && (else_status != FER_INVALID_MODEL || then_status != FER_OK)) {
        return else_status;
    }
    if (then_status != FER_OK) {
        return one_branch_fails(node, call, "else_branch");
    }
    if (else_status != FER_OK) {
        return one_branch_fails(node, call, "then_branch");
    }
    return merge_branches(node, call);
}

/* ---- what Loop and Scan share ---- */

typedef struct carried {
    feri_fact *facts; /* count states, arrays in the call's bump and owned */
    uint32_t count;
    uint32_t first_input;  /* of the body */
    uint32_t first_output; /* of the body */
} carried;

static fer_status start_carried(const feri_infer *call, uint32_t first_operand, carried *states) {
    states->facts = FERI_BUMP_ARRAY(call->bump, feri_fact, states->count);
    if (states->facts == NULL) {
        return feri_error_status();
    }
    for (uint32_t s = 0; s < states->count; s++) {
        feri_fact *initial = call->in[first_operand + s];
        if (initial == NULL) {
            states->facts[s].rank = -1;
            continue;
        }
        FER_TRY(take_fact(initial, call->bump, &states->facts[s]));
    }
    return FER_OK;
}

static fer_status settle_round(const feri_gnode *node,
                               const feri_infer *call,
                               fer_graph *body,
                               carried *states,
                               int *out_changed) {
    *out_changed = 0;
    for (uint32_t s = 0; s < states->count; s++) {
        feri_fact *after = body_output(body, states->first_output + s);
        if (types_clash(&states->facts[s], after)) {
            return kinds_differ(node, "carried value", s, &states->facts[s], after);
        }
        (void)feri_fact_elements(after, call->bump);
        *out_changed |= weaken(&states->facts[s], after);
    }
    return FER_OK;
}

/* Walks the body until the states hold for every iteration. */
static fer_status settle(feri_infer_walk *walk,
                         const feri_gnode *node,
                         feri_infer *call,
                         fer_graph *body,
                         carried *states) {
    feed_captures(body, call);
    for (int round = 0;; round++) {
        int gives_up = round >= MOST_ROUNDS || walk->spent > walk->budget;
        for (uint32_t s = 0; s < states->count; s++) {
            if (gives_up) {
                forget(&states->facts[s]);
            }
            FER_TRY(feed_input(body, states->first_input + s, &states->facts[s]));
        }
        FER_TRY(feri_infer_walk_graph(walk, body));
        int changed = 0;
        FER_TRY(settle_round(node, call, body, states, &changed));
        if (!changed || gives_up) { /* having given up, one walk must do */
            return FER_OK;
        }
    }
}

/* out: the body's fact with a dim of length put in at axis (counted in the result's rank). */
static fer_status stack_fact(const feri_gnode *node,
                             const feri_infer *call,
                             const feri_fact *slice,
                             int64_t axis,
                             feri_sym length,
                             feri_fact *out) {
    feri_sym dims[FER_MAX_RANK + 1];
    out->kind = FER_KIND_TENSOR;
    out->dtype = slice->dtype;
    if (slice->rank < 0) {
        forget(out);
        return FER_OK;
    }
    int32_t rank = slice->rank + 1;
    int64_t at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= rank || rank > FER_MAX_RANK) {
        return feri_fail(FER_INVALID_MODEL,
                         "%s '%s': output axis %lld does not fit a result of rank %d",
                         feri_op_name(node->op),
                         node->name,
                         (long long)axis,
                         rank);
    }
    for (int32_t d = 0, from = 0; d < rank; d++) {
        dims[d] = d == at ? length : slice->dims[from++];
    }
    return feri_fact_set_dims(out, call->bump, rank, dims);
}

/* ---- Loop ---- */

/* The trip count where the condition cannot end the loop early. */
static feri_sym trip_count(const feri_infer *call, fer_graph *body) {
    int64_t condition = 0;
    feri_fact *most = call->in[0];
    feri_sym *elements = most != NULL ? feri_fact_elements(most, call->bump) : NULL;
    if (elements == NULL || most->element_count != 1 ||
        !known_element(body_output(body, 0), call->bump, &condition) || condition == 0) {
        return feri_sym_unknown();
    }
    if (call->in[1] != NULL &&
        (!known_element(call->in[1], call->bump, &condition) || condition == 0)) {
        return feri_sym_unknown();
    }
    return feri_sym_max(call->terms, elements[0], feri_sym_number(0));
}

/* ---- Scan ---- */

static int64_t list_entry(const feri_gnode *node, const char *name, uint32_t index) {
    const fer_attr *attr = feri_attr_find(node->attrs, node->attr_count, name);
    return attr != NULL && index < attr->count ? attr->value.ints[index] : 0;
}

/* Feeds slice number index of the scanned inputs and joins the length of the scan. */
static fer_status feed_slice(const feri_gnode *node,
                             feri_infer *call,
                             fer_graph *body,
                             uint32_t state_count,
                             uint32_t index,
                             feri_sym *length) {
    const feri_fact *scanned = call->in[state_count + index];
    feri_fact slice = {.kind = FER_KIND_TENSOR, .rank = -1};
    feri_sym dims[FER_MAX_RANK];
    slice.dtype = scanned->dtype;
    if (scanned->rank < 0) {
        return feed_input(body, state_count + index, &slice);
    }
    int64_t axis = list_entry(node, "scan_input_axes", index);
    int64_t at = axis < 0 ? axis + scanned->rank : axis;
    if (at < 0 || at >= scanned->rank) {
        return feri_fail(FER_INVALID_MODEL,
                         "Scan '%s': axis %lld of scan input %u does not fit its rank %d",
                         node->name,
                         (long long)axis,
                         index,
                         scanned->rank);
    }
    feri_sym here = scanned->dims[at];
    if (feri_sym_is_unknown(*length)) {
        *length = here;
    } else if (!feri_sym_is_unknown(here) &&
               !feri_terms_require_equal(call->terms, *length, here)) {
        return feri_fail(FER_INVALID_MODEL,
                         "Scan '%s': scan input %u has another length than the ones before it",
                         node->name,
                         index);
    } else if (feri_sym_is_number(here)) {
        *length = here;
    }
    slice.rank = 0;
    for (int32_t d = 0; d < scanned->rank; d++) {
        if (d != at) {
            dims[slice.rank++] = scanned->dims[d];
        }
    }
    slice.dims = dims;
    return feed_input(body, state_count + index, &slice);
}

/* What an iteration makes beside the states is stacked: along axis 0 by Loop. */
static fer_status infer_repeated(feri_infer_walk *walk, const feri_gnode *node, feri_infer *call) {
    fer_graph *body = feri_node_body(node, "body");
    int is_loop = feri_control_kind(node->op) == FERI_CONTROL_LOOP;
    uint32_t scanned = (uint32_t)feri_attr_int(node->attrs, node->attr_count, "num_scan_inputs", 0);
    carried states = {.count = node->formal_count - (is_loop ? 2 : scanned),
                      .first_input = is_loop ? 2 : 0,
                      .first_output = is_loop};
    feri_sym length = feri_sym_unknown();
    FER_TRY(start_carried(call, states.first_input, &states));
    if (is_loop) {
        FER_TRY(feed_scalar(body, 0, FER_I64, length));
        FER_TRY(feed_scalar(body, 1, FER_BOOL, feri_sym_number(1)));
    }
    for (uint32_t i = 0; i < scanned && !is_loop && FERI_HAS_OP(Scan); i++) {
        FER_TRY(feed_slice(node, call, body, states.count, i, &length));
    }
    FER_TRY(settle(walk, node, call, body, &states));
    if (is_loop) {
        length = trip_count(call, body);
    }
    for (uint32_t o = 0; o < call->out_count; o++) {
        if (call->out[o] == NULL) {
            continue;
        }
        if (o < states.count) {
            *call->out[o] = states.facts[o];
            continue;
        }
        int64_t axis = list_entry(node, "scan_output_axes", o - states.count);
        const feri_fact *slice = body_output(body, states.first_output + o);
        FER_TRY(stack_fact(node, call, slice, axis, length, call->out[o]));
    }
    return FER_OK;
}

/* ---- SequenceMap ---- */

/* An item of a sequence has its dtype; shapes of items are not known. */
static fer_status
infer_sequence_map(feri_infer_walk *walk, const feri_gnode *node, feri_infer *call) {
    fer_graph *body = feri_node_body(node, "body");
    feed_captures(body, call);
    for (uint32_t i = 0; i < node->formal_count; i++) {
        const feri_fact *operand = call->in[i];
        feri_fact item = {.kind = FER_KIND_TENSOR, .rank = -1};
        item.dtype = operand != NULL ? operand->dtype : FER_DTYPE_NONE;
        int is_tensor = operand != NULL && operand->kind == FER_KIND_TENSOR;
        FER_TRY(feed_input(body, i, is_tensor ? operand : &item));
    }
    FER_TRY(feri_infer_walk_graph(walk, body));
    for (uint32_t o = 0; o < call->out_count && o < body->output_count; o++) {
        if (call->out[o] != NULL) {
            call->out[o]->kind = FER_KIND_SEQUENCE;
            call->out[o]->dtype = body_output(body, o)->dtype;
        }
    }
    return FER_OK;
}

fer_status
feri_infer_walk_control(feri_infer_walk *walk, const feri_gnode *node, feri_infer *call) {
    FER_TRY(feri_op_check(call));
    int32_t kind = feri_control_kind(node->op);
    if (kind == FERI_CONTROL_IF && FERI_HAS_OP(If)) {
        return infer_if(walk, node, call);
    }
    if (kind == FERI_CONTROL_SEQUENCE_MAP && FERI_HAS_OP(SequenceMap)) {
        return infer_sequence_map(walk, node, call);
    }
    if ((kind == FERI_CONTROL_LOOP || kind == FERI_CONTROL_SCAN) &&
        (FERI_HAS_OP(Loop) || FERI_HAS_OP(Scan))) {
        return infer_repeated(walk, node, call);
    }
    return feri_fail(FER_UNSUPPORTED,
                     "op '%s' (node '%s') is not yet supported",
                     feri_op_name(node->op),
                     node->name);
}
