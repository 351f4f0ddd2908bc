/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernel runs an op, and the attribute and dtype questions that kernels ask. Constant tables
 * only; called at compile and bind, never per run.
 */
#include "kit/geometry.h"
#include "ref/ref.h"

#include <stdio.h>
#include <string.h>

#define FERI_REF_FAMILY(name) extern const feri_ref_family feri_ref_family_##name;
#include "ref/families.def"
#undef FERI_REF_FAMILY

static const feri_ref_family *const families[] = {
#define FERI_REF_FAMILY(name) &feri_ref_family_##name,
#include "ref/families.def"
#undef FERI_REF_FAMILY
    NULL};

uint32_t feri_ref_op_count(void) {
    uint32_t count = 0;
    for (uint32_t f = 0; families[f]; f++) {
        count += families[f]->count;
    }
    return count;
}

static feri_ref_entry entry_of(const feri_ref_family *family, uint32_t index) {
    if (family->ops) {
        return (feri_ref_entry){
            family->kernels, family->ops[index].op, family->ops[index].revision};
    }
    const feri_ref_kernel *kernel = &family->kernels[index];
    return (feri_ref_entry){kernel, kernel->op, kernel->revision};
}

feri_ref_entry feri_ref_op_at(uint32_t index) {
    for (uint32_t f = 0; families[f]; f++) {
        if (index < families[f]->count) {
            return entry_of(families[f], index);
        }
        index -= families[f]->count;
    }
    return (feri_ref_entry){NULL, FER_OP_NONE, 0};
}

feri_ref_entry feri_ref_find(uint32_t op) {
    for (uint32_t f = 0; families[f]; f++) {
        for (uint32_t i = 0; i < families[f]->count; i++) {
            feri_ref_entry entry = entry_of(families[f], i);
            if (entry.op == op) {
                return entry;
            }
        }
    }
    return (feri_ref_entry){NULL, FER_OP_NONE, 0};
}

fer_status feri_ref_fail(const feri_ref_call *call, fer_status status, const char *message) {
    char text[400];
    const fer_node_view *node = call->node;
    (void)snprintf(text,
                   sizeof(text),
                   "%s '%s': %s",
                   node->op_name ? node->op_name : "op",
                   node->name ? node->name : "",
                   message);
    return call->host->fail(call->host->self, status, /*native_code=*/0, node->name, text);
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

uint32_t feri_ref_bits(fer_dtype dtype) { return feri_kit_bits(dtype); }

int feri_ref_is_float(fer_dtype dtype) { return feri_kit_class(dtype) == FERI_KIT_FLOAT; }

int feri_ref_is_signed(fer_dtype dtype) { return feri_kit_class(dtype) == FERI_KIT_SIGNED; }
