/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernel runs an op, and the attribute and dtype questions that kernels ask. Constant tables
 * only; called at compile and bind, never per run.
 */
#include "kit/geometry.h"
#include "ref/ref.h"

#include <stdio.h>
#include <string.h>

#define FERI_REF_FAMILY(name) extern const feri_ref_kernel feri_ref_family_##name[];
#define FERI_REF_SHARED(name)                                                                      \
    FERI_REF_FAMILY(name)                                                                          \
    extern const feri_ref_op feri_ref_ops_##name[];
#include "ref/families.def"
#undef FERI_REF_FAMILY
#undef FERI_REF_SHARED

/* Families with a row per op, then those that share one kernel among a list of ops. */
static const feri_ref_kernel *const families[] = {
#define FERI_REF_FAMILY(name) feri_ref_family_##name,
#define FERI_REF_SHARED(name)
#include "ref/families.def"
#undef FERI_REF_FAMILY
#undef FERI_REF_SHARED
};
static const struct {
    const feri_ref_kernel *kernel;
    const feri_ref_op *ops;
} sharing[] = {
#define FERI_REF_FAMILY(name)
#define FERI_REF_SHARED(name) {feri_ref_family_##name, feri_ref_ops_##name},
#include "ref/families.def"
#undef FERI_REF_FAMILY
#undef FERI_REF_SHARED
};
enum {
    FAMILIES = sizeof families / sizeof families[0],
    SHARING = sizeof sharing / sizeof sharing[0]
};

/* The kernel of op; with claims all ops are entered there instead, and counted. */
static feri_ref_entry search(uint32_t op, fer_op_claim *claims, uint32_t *out_count) {
    for (size_t f = 0; f < FAMILIES + SHARING; f++) {
        const feri_ref_kernel *kernel = f < FAMILIES ? families[f] : sharing[f - FAMILIES].kernel;
        const feri_ref_op *shared = f < FAMILIES ? NULL : sharing[f - FAMILIES].ops;
        for (;;) {
            feri_ref_entry entry = {kernel, kernel->op, kernel->revision};
            if (shared) {
                entry.op = shared->op;
                entry.revision = shared->revision;
                shared++;
            } else {
                kernel++;
            }
            if (entry.op == op) {
                return entry;
            }
            if (entry.op == FER_OP_NONE) {
                break;
            }
            if (claims) {
                claims[*out_count] = (fer_op_claim){.op = entry.op, .revision = entry.revision};
            }
            ++*out_count;
        }
    }
    return (feri_ref_entry){NULL, FER_OP_NONE, 0};
}

feri_ref_entry feri_ref_find(uint32_t op) {
    uint32_t unused = 0;
    return search(op, NULL, &unused);
}

uint32_t feri_ref_claims(fer_op_claim *claims) {
    uint32_t count = 0;
    (void)search(UINT32_MAX, claims, &count);
    return count;
}

fer_status feri_ref_poll(feri_ref_call *call, uint64_t operations) {
    call->work_since_poll += operations;
    if (call->work_since_poll >= 65536 - 4096 && call->status == FER_OK) {
        call->work_since_poll = 0;
        call->status = call->poll->check(call->poll->self);
    }
    return call->status;
}

int feri_ref_next(feri_ref_call *call, feri_ref_piece *piece) {
    piece->begin += piece->count;
    piece->count = piece->total - piece->begin;
    if (piece->count > FERI_REF_CHUNK) {
        piece->count = FERI_REF_CHUNK;
    }
    return piece->count > 0 && feri_ref_poll(call, piece->count) == FER_OK;
}

fer_status feri_ref_fail(feri_ref_call *call, fer_status status, const char *message) {
    char text[400];
    const fer_node_view *node = call->node;
    (void)snprintf(text,
                   sizeof(text),
                   "%s '%s': %s",
                   node->op_name ? node->op_name : "op",
                   node->name ? node->name : "",
                   message);
    call->status = status;
    return call->host->fail(call->host->self, status, /*native_code=*/0, node->name, text);
}

fer_status feri_ref_misfit(feri_ref_call *call, const char *message) {
    return feri_ref_fail(call, FER_INVALID_INPUT, message);
}

fer_status feri_ref_unfit(feri_ref_call *call) {
    return feri_ref_misfit(call, "its operands, results and attributes do not fit each other");
}

const fer_attr *feri_ref_attr(const fer_node_view *node, const char *name) {
    for (uint32_t i = 0; i < node->attr_count; i++) {
        if (strcmp(node->attrs[i].name, name) == 0) {
            return &node->attrs[i];
        }
    }
    return NULL;
}

int64_t feri_ref_int(const fer_node_view *node, const char *name, int64_t absent) {
    const fer_attr *attr = feri_ref_attr(node, name);
    return attr && attr->type == FER_ATTR_INT ? attr->value.i : absent;
}

double feri_ref_float(const fer_node_view *node, const char *name, double absent) {
    const fer_attr *attr = feri_ref_attr(node, name);
    return attr && attr->type == FER_ATTR_FLOAT ? (double)attr->value.f : absent;
}

const char *feri_ref_string(const fer_node_view *node, const char *name, const char *absent) {
    const fer_attr *attr = feri_ref_attr(node, name);
    return attr && attr->type == FER_ATTR_STRING ? attr->value.s.data : absent;
}

int feri_ref_string_is(const fer_node_view *node,
                       const char *name,
                       const char *absent,
                       const char *text) {
    const fer_attr *attr = feri_ref_attr(node, name);
    if (!attr || attr->type != FER_ATTR_STRING) {
        return strcmp(absent, text) == 0;
    }
    size_t length = strlen(text);
    return attr->value.s.length == length && memcmp(attr->value.s.data, text, length) == 0;
}

int feri_ref_find_name(const char *names,
                       const char *name,
                       uint64_t own,
                       int (*compare)(const char *, const char *, size_t)) {
    for (int i = 0; *names; i++) {
        size_t length = strcspn(names, ",");
        if (own == length && compare(name, names, length) == 0) {
            return i;
        }
        names += length + (names[length] ? 2 : 0);
    }
    return -1;
}

int feri_ref_name_index(feri_ref_call *call, const char *attr, const char *names) {
    const fer_attr *given = feri_ref_attr(call->node, attr);
    return given && given->type == FER_ATTR_STRING
               ? feri_ref_find_name(names, given->value.s.data, given->value.s.length, strncmp)
               : 0;
}

uint32_t feri_ref_bits(fer_dtype dtype) { return feri_kit_bits(dtype); }

int feri_ref_is_float(fer_dtype dtype) { return feri_kit_class(dtype) == FERI_KIT_FLOAT; }

int feri_ref_is_signed(fer_dtype dtype) { return feri_kit_class(dtype) == FERI_KIT_SIGNED; }
