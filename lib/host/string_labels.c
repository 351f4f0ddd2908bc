/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that decide about strings by numbers: Unique on strings runs on their ranks, classifiers with
 * string labels run on the labels' positions; the device does the rest and the results become
 * strings again.
 */
#include "host/pieces.h"
#include "host/string_ops.h"

#include <string.h>

/* A string and where it stands. */
typedef struct label {
    const char *text;
    size_t length;
    uint64_t at;
} label;

static int compare_labels(const label *a, const label *b) {
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = shorter ? memcmp(a->text, b->text, shorter) : 0;
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

/* Bottom-up merge sort; spare is as large. */
static fer_status sort_labels(feri_host_call *call, label *labels, label *spare, uint64_t count) {
    for (uint64_t width = 1; width < count; width *= 2) {
        for (uint64_t from = 0; from < count; from += 2 * width) {
            uint64_t middle = count - from > width ? from + width : count;
            uint64_t end = count - middle > width ? middle + width : count;
            uint64_t left = from, right = middle;
            for (uint64_t i = from; i < end; i++) {
                int takes_left =
                    right == end ||
                    (left < middle && compare_labels(&labels[left], &labels[right]) <= 0);
                spare[i] = takes_left ? labels[left++] : labels[right++];
            }
            FER_TRY(from % 65536 ? FER_OK : feri_host_check(call));
        }
        memcpy(labels, spare, count * sizeof(*labels));
    }
    return FER_OK;
}

/* numbers (i64, host memory) as the strings they index; INTERNAL when one is out of range. */
static fer_status as_strings(feri_host_call *call,
                             fer_tensor *numbers,
                             const label *labels,
                             uint64_t label_count,
                             fer_tensor **out_tensor) {
    uint64_t count = numbers->element_count;
    const char **texts = feri_alloc(call->env, feri_mul_sat(count, sizeof(*texts)));
    size_t *lengths = feri_alloc(call->env, feri_mul_sat(count, sizeof(*lengths)));
    fer_status status = texts && lengths ? FER_OK : feri_error_status();
    const int64_t *data = fer_tensor_data(numbers);
    for (uint64_t i = 0; status == FER_OK && i < count; i++) {
        if (data[i] < 0 || (uint64_t)data[i] >= label_count) {
            status = feri_host_fail(call, FER_INTERNAL, "a result stands for no string");
            break;
        }
        texts[i] = labels[data[i]].text;
        lengths[i] = labels[data[i]].length;
    }
    if (status == FER_OK) {
        status = fer_tensor_create_strings(
            feri_host_context(call), numbers->rank, numbers->dims, texts, lengths, out_tensor);
    }
    feri_free(call->env, texts, feri_mul_sat(count, sizeof(*texts)));
    feri_free(call->env, lengths, feri_mul_sat(count, sizeof(*lengths)));
    return status;
}

/* Runs node on in; its first result stands for labels, the others are given as they are. */
static fer_status run_numbered(feri_host_call *call,
                               const feri_gnode *node,
                               fer_tensor *in,
                               const label *labels,
                               uint64_t label_count) {
    fer_tensor *out[8] = {NULL};
    fer_tensor *here = NULL, *strings = NULL;
    uint32_t count = node->output_count;
    if (!call->run_op || count > 8) {
        return feri_host_fail(
            call, FER_UNSUPPORTED, "there is no device here to run it on; compile for one");
    }
    feri_gnode plain = *node;
    plain.host_only = 0; /* or the evaluator would come back here */
    plain.input_count = 1;
    fer_status status = call->run_op(call->self, &plain, &in, out);
    if (status == FER_OK && out[0]) {
        status = out[0]->dtype == FER_I64
                     ? feri_tensor_on_host(out[0], &here)
                     : feri_host_fail(call, FER_INTERNAL, "a result stands for no string");
        status = status ? status : as_strings(call, here, labels, label_count, &strings);
        status = status ? status : feri_host_give_tensor(call, 0, strings);
        fer_tensor_release(here);
    }
    for (uint32_t o = 0; o < count; o++) {
        if (o > 0 && status == FER_OK && out[o]) {
            status = feri_host_give_tensor(call, o, fer_tensor_retain(out[o]));
        }
        fer_tensor_release(out[o]);
    }
    return status;
}

/* ---- Unique ---- */

/* ranks[i] is the number of distinct strings below string i; labels[rank] becomes that string. */
static fer_status rank_strings(
    feri_host_call *call, const fer_tensor *x, label *labels, label *spare, int64_t *ranks) {
    uint64_t count = x->element_count, rank = 0;
    for (uint64_t i = 0; i < count; i++) {
        labels[i].at = i;
        FER_TRY(feri_string_at(call, x, i, &labels[i].text, &labels[i].length));
    }
    FER_TRY(sort_labels(call, labels, spare, count));
    if (count > 0) {
        memcpy(spare, labels, count * sizeof(*spare));
    }
    for (uint64_t i = 0; i < count; i++) {
        rank += i > 0 && compare_labels(&spare[i - 1], &spare[i]) != 0;
        labels[rank] = spare[i];
        ranks[spare[i].at] = (int64_t)rank;
    }
    return FER_OK;
}

fer_status feri_host_string_unique(feri_host_call *call) {
    fer_tensor *x = NULL, *ranks = NULL;
    FER_TRY(feri_host_tensor(call, 0, &x));
    uint64_t bytes = feri_mul_sat(x->element_count, sizeof(label));
    FER_TRY(fer_tensor_create(feri_host_context(call), FER_I64, x->rank, x->dims, &ranks));
    label *labels = feri_alloc(call->env, bytes), *spare = feri_alloc(call->env, bytes);
    fer_status status = labels && spare ? FER_OK : feri_error_status();
    status = status ? status : rank_strings(call, x, labels, spare, fer_tensor_data(ranks));
    status = status ? status : run_numbered(call, call->node, ranks, labels, x->element_count);
    feri_free(call->env, labels, bytes);
    feri_free(call->env, spare, bytes);
    fer_tensor_release(ranks);
    return status;
}

/* ---- classifiers ---- */

/* The node with positions in place of its string labels. A single label stands behind the empty
 * string, which is what is not of its class. */
static fer_status number_labels(feri_host_call *call,
                                const fer_attr *texts,
                                fer_attr *attrs,
                                label *labels,
                                int64_t *positions) {
    const char *name = strcmp(feri_op_name(call->node->op), "TreeEnsembleClassifier") == 0
                           ? "classlabels_int64s"
                           : "classlabels_ints";
    uint32_t first = texts->count == 1;
    labels[0] = (label){"", 0, 0};
    for (uint32_t i = 0; i < texts->count; i++) {
        const fer_string *text = &texts->value.strings[i];
        positions[i] = first + i;
        labels[first + i] = (label){text->data ? text->data : "", text->length, first + i};
    }
    for (uint32_t a = 0; a < call->node->attr_count; a++) {
        attrs[a] = call->node->attrs[a];
        if (&call->node->attrs[a] == texts) {
            attrs[a].name = name;
            attrs[a].type = FER_ATTR_INTS;
            attrs[a].value.ints = positions;
        }
    }
    return FER_OK;
}

fer_status feri_host_string_classifier(feri_host_call *call) {
    feri_env *env = call->env;
    uint32_t attr_count = call->node->attr_count;
    const fer_attr *texts = feri_attr_find(call->node->attrs, attr_count, "classlabels_strings");
    fer_tensor *x = NULL;
    FER_TRY(feri_host_tensor(call, 0, &x));
    if (!texts || texts->count == 0) {
        return feri_string_run_plain(call);
    }
    uint64_t attr_bytes = feri_mul_sat(attr_count, sizeof(fer_attr));
    uint64_t label_count = (uint64_t)texts->count + (texts->count == 1);
    uint64_t label_bytes = feri_mul_sat(label_count, sizeof(label));
    uint64_t position_bytes = feri_mul_sat(texts->count, sizeof(int64_t));
    fer_attr *attrs = feri_alloc(env, attr_bytes);
    label *labels = feri_alloc(env, label_bytes);
    int64_t *positions = feri_alloc(env, position_bytes);
    fer_status status = attrs && labels && positions ? FER_OK : feri_error_status();
    if (status == FER_OK) {
        feri_gnode numbered = *call->node;
        numbered.attrs = attrs;
        status = number_labels(call, texts, attrs, labels, positions);
        status = status ? status : run_numbered(call, &numbered, x, labels, label_count);
    }
    feri_free(env, attrs, attr_bytes);
    feri_free(env, labels, label_bytes);
    feri_free(env, positions, position_bytes);
    return status;
}
