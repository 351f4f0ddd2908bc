/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes of a case's node, as the builder takes them: those its text spells out, and lists that
 * are too long for a name, which are drawn from it.
 */
#include "case.h"

#include <stdlib.h>
#include <string.h>

uint32_t text_pieces(const char *text) {
    uint32_t count = 0;
    while (*text != '\0') {
        text += strcspn(text, ":");
        text += *text == ':';
        count++;
    }
    return count;
}

const char *text_piece(const trial *self, const char *text, uint32_t index) {
    for (; *text != '\0'; index--) {
        size_t length = strcspn(text, ":");
        if (index == 0) {
            char *copy = trial_memory(self, length + 1);
            memcpy(copy, text, length);
            return copy;
        }
        text += length + (text[length] == ':');
    }
    return NULL;
}

/* FNV-1a, less a bit: what a long double holds. */
long double text_number(const char *text, size_t length) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    }
    return (long double)(hash >> 1);
}

/* ---- drawn lists ---- */

static uint64_t drawn(const trial *self, const char *key, uint32_t index) {
    uint64_t bits = (uint64_t)text_number(self->name, strlen(self->name)) ^
                    (uint64_t)text_number(key, strlen(key)) * 0x9e3779b97f4a7c15u;
    bits += (index + 1) * 0x94d049bb133111ebu;
    bits = (bits ^ bits >> 31) * 0xbf58476d1ce4e5b9u;
    return (bits ^ bits >> 29) >> 16;
}

float *trial_floats(const trial *self, const char *key, uint32_t count, double low, double high) {
    float *list = trial_memory(self, (count + 1) * sizeof *list);
    uint64_t steps = (uint64_t)((high - low) * 8) + 1;
    for (uint32_t i = 0; i < count; i++) {
        list[i] = (float)(low + (double)(drawn(self, key, i) % steps) / 8);
    }
    return list;
}

int64_t *trial_ints(const trial *self, const char *key, uint32_t count, int64_t low, int64_t high) {
    int64_t *list = trial_memory(self, (count + 1) * sizeof *list);
    for (uint32_t i = 0; i < count; i++) {
        list[i] = low + (int64_t)(drawn(self, key, i) % (uint64_t)(high - low + 1));
    }
    return list;
}

/* ---- attributes of the text ---- */

static void attr_strings(const trial *self, const case_arg *arg, fer_attr *out) {
    fer_string *list = trial_memory(self, CASE_LIST * sizeof *list);
    out->count = text_pieces(arg->text);
    for (uint32_t i = 0; i < out->count; i++) {
        const char *piece = text_piece(self, arg->text, i);
        list[i] = (fer_string){piece, strlen(piece)};
    }
    out->value.strings = list;
}

fer_tensor *trial_hold(const trial *self, fer_tensor *tensor) {
    trial *owner = (trial *)(uintptr_t)self;
    if (tensor != NULL && owner->held_count < CASE_INPUTS) {
        owner->held[owner->held_count++] = tensor;
    }
    return tensor;
}

/* "f32:1:2" is a vector of two, "f32:1" a vector of one, "str:a:b" strings. */
static int
attr_tensor(const trial *self, fer_context *context, const case_arg *arg, fer_attr *out) {
    double list[CASE_LIST];
    fer_tensor *made = NULL;
    int64_t count = (int64_t)arg_list(self, arg->key, list, CASE_LIST) - 1;
    fer_dtype dtype = count >= 0 ? (fer_dtype)list[0] : FER_DTYPE_NONE;
    if (dtype == FER_STRING) {
        const char *texts[CASE_LIST];
        count = (int64_t)text_pieces(arg->text) - 1;
        for (uint32_t i = 0; i < (uint32_t)count; i++) {
            texts[i] = text_piece(self, arg->text, i + 1);
        }
        if (fer_tensor_create_strings(context, 1, &count, texts, NULL, &made) != FER_OK) {
            return 0;
        }
    } else if (count < 0 || fer_tensor_create(context, dtype, 1, &count, &made) != FER_OK) {
        return 0;
    }
    for (int64_t i = 0; dtype != FER_STRING && i < count; i++) {
        number_set(dtype, fer_tensor_data(made), (uint64_t)i, (long double)list[i + 1]);
    }
    out->type = FER_ATTR_TENSOR;
    out->value.tensor = trial_hold(self, made);
    return 1;
}

static int
attr_make(const trial *self, fer_context *context, const case_arg *arg, char kind, fer_attr *out) {
    double list[CASE_LIST];
    uint32_t count = arg_list(self, arg->key, list, CASE_LIST);
    *out = (fer_attr){.name = arg->key, .count = 1};
    switch (kind) {
    case 'i':
        out->type = FER_ATTR_INT;
        out->value.i = count > 0 ? (int64_t)list[0] : 0;
        return 1;
    case 'f':
        out->type = FER_ATTR_FLOAT;
        out->value.f = strtof(arg->text, NULL);
        return 1;
    case 's':
        out->type = FER_ATTR_STRING;
        out->value.s = (fer_string){arg->text, strlen(arg->text)};
        return 1;
    case 'I':
    case 'F': {
        int64_t *ints = trial_memory(self, CASE_LIST * sizeof *ints);
        float *floats = (float *)ints;
        out->count = count;
        for (uint32_t i = 0; i < count; i++) {
            if (kind == 'I') {
                ints[i] = (int64_t)list[i];
            } else {
                floats[i] = (float)list[i];
            }
        }
        out->type = kind == 'I' ? FER_ATTR_INTS : FER_ATTR_FLOATS;
        if (kind == 'I') {
            out->value.ints = ints;
        } else {
            out->value.floats = floats;
        }
        return 1;
    }
    case 'S':
        out->type = FER_ATTR_STRINGS;
        attr_strings(self, arg, out);
        return 1;
    case 't':
        return attr_tensor(self, context, arg, out);
    default:
        return 0;
    }
}

uint32_t
trial_attrs(const trial *self, fer_context *context, fer_attr *out_attrs, uint32_t capacity) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->arg_count && count < capacity; i++) {
        char kind = attribute_kind(self->op, self->args[i].key, strlen(self->args[i].key));
        if (kind != 0 && attr_make(self, context, &self->args[i], kind, &out_attrs[count])) {
            count++;
        }
    }
    return count;
}

fer_status trial_node(const trial *self,
                      fer_context *context,
                      fer_graph *graph,
                      const fer_value_id *inputs,
                      const fer_attr *more,
                      uint32_t more_count,
                      fer_value_id *out_outputs) {
    fer_attr attrs[CASE_ARGS * 2];
    uint32_t count = trial_attrs(self, context, attrs, CASE_ARGS);
    for (uint32_t i = 0; i < more_count && i < CASE_ARGS; i++) {
        attrs[count++] = more[i];
    }
    fer_node_desc node = {.struct_size = sizeof node,
                          .input_count = self->input_count,
                          .domain = self->op->domain,
                          .op = self->op->name,
                          .name = "case",
                          .inputs = inputs,
                          .attrs = attrs,
                          .attr_count = count,
                          .output_count = self->output_count};
    return fer_graph_add_node(graph, &node, out_outputs);
}
