/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes of a node by name. Kinds were checked by feri_op_check; a wrong kind here counts as
 * absent, so that nothing reads the wrong member.
 */
#include "op/op.h"

#include <string.h>

const fer_attr *feri_attr_find(const fer_attr *attrs, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++) {
        if (attrs[i].name && strcmp(attrs[i].name, name) == 0) {
            return &attrs[i];
        }
    }
    return NULL;
}

int64_t feri_attr_int(const fer_attr *attrs, uint32_t count, const char *name, int64_t absent) {
    const fer_attr *attr = feri_attr_find(attrs, count, name);
    return attr && attr->type == FER_ATTR_INT ? attr->value.i : absent;
}

float feri_attr_float(const fer_attr *attrs, uint32_t count, const char *name, float absent) {
    const fer_attr *attr = feri_attr_find(attrs, count, name);
    return attr && attr->type == FER_ATTR_FLOAT ? attr->value.f : absent;
}

const char *
feri_attr_string(const fer_attr *attrs, uint32_t count, const char *name, const char *absent) {
    const fer_attr *attr = feri_attr_find(attrs, count, name);
    return attr && attr->type == FER_ATTR_STRING && attr->value.s.data ? attr->value.s.data
                                                                       : absent;
}
