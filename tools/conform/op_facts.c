/* SPDX-License-Identifier: Apache-2.0
 *
 * What the public op table says of an op: its operands, the dtypes of its type letters, the kinds
 * of its attributes. Rows that this build of the library left out are told apart by fer_op_get.
 */
#include "case.h"

#include <stdio.h>
#include <string.h>

static const op_row rows[] = {
#define FER_OP(number,                                                                             \
               ident,                                                                              \
               domain,                                                                             \
               name,                                                                               \
               revision,                                                                           \
               inputs,                                                                             \
               outputs,                                                                            \
               types,                                                                              \
               attrs,                                                                              \
               family,                                                                             \
               infer,                                                                              \
               expand,                                                                             \
               flags)                                                                              \
    {number, revision, domain, name, inputs, outputs, types, attrs, #family, #expand, #flags},
#include "ferrule/op_table.def"
#undef FER_OP
};

uint32_t op_rows_count(void) { return sizeof rows / sizeof *rows; }
const op_row *op_row_at(uint32_t index) { return &rows[index]; }

void op_row_label(const op_row *row, char *out_text, size_t capacity) {
    (void)snprintf(
        out_text, capacity, "%s%s%s", row->domain, row->domain[0] != '\0' ? "." : "", row->name);
}

const op_row *op_row_find(const char *name, size_t length) {
    for (uint32_t i = 0; i < op_rows_count(); i++) {
        char label[96];
        op_row_label(&rows[i], label, sizeof label);
        if (strlen(label) == length && memcmp(label, name, length) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

int op_row_is_built(const op_row *row) {
    for (uint32_t i = 0; i < fer_op_count(); i++) {
        fer_op_info info = {.struct_size = sizeof info};
        if (fer_op_get(i, &info) == FER_OK && info.number == row->number) {
            return 1;
        }
    }
    return 0;
}

int operand_at(const char *text, uint32_t index, op_operand *out_operand) {
    for (uint32_t i = 0;; i++) {
        text += strspn(text, ", ");
        const char *colon = strchr(text, ':');
        if (*text == '\0' || colon == NULL) {
            return 0;
        }
        memset(out_operand, 0, sizeof *out_operand);
        out_operand->name = text;
        out_operand->name_length = (uint32_t)(colon - text);
        out_operand->type = colon + 1;
        out_operand->type_length = (uint32_t)strcspn(colon + 1, ",?#*");
        text = colon + 1 + out_operand->type_length;
        for (; *text != '\0' && *text != ','; text++) {
            out_operand->is_optional |= *text == '?';
            out_operand->is_variadic |= *text == '*';
        }
        if (i == index || out_operand->is_variadic) {
            return 1;
        }
    }
}

#define BIT(dtype) (1u << (dtype))
#define FLOATS (BIT(FER_F32) | BIT(FER_F64) | BIT(FER_F16) | BIT(FER_BF16))
#define SIGNED (BIT(FER_I8) | BIT(FER_I16) | BIT(FER_I32) | BIT(FER_I64))
#define UNSIGNED (BIT(FER_U8) | BIT(FER_U16) | BIT(FER_U32) | BIT(FER_U64))
#define FLOAT8 (BIT(FER_F8E4M3FN) | BIT(FER_F8E4M3FNUZ) | BIT(FER_F8E5M2) | BIT(FER_F8E5M2FNUZ))
#define SUB_BYTE (BIT(FER_U4) | BIT(FER_I4) | BIT(FER_U2) | BIT(FER_I2) | BIT(FER_F4E2M1))
#define EVERY (BIT(FER_DTYPE_COUNT) - 2)

static uint32_t class_mask(const char *name, size_t length) {
    static const struct {
        const char *name;
        uint32_t mask;
    } classes[] = {
        {"float",   FLOATS                      },
        {"int",     SIGNED | UNSIGNED           },
        {"sint",    SIGNED                      },
        {"uint",    UNSIGNED                    },
        {"complex", BIT(FER_C64) | BIT(FER_C128)},
        {"float8",  FLOAT8                      },
        {"sub",     SUB_BYTE                    },
        {"tensor",  EVERY                       },
        {"any",     EVERY                       },
        {"seq",     EVERY                       },
        {"opt",     EVERY                       },
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) == length && memcmp(classes[i].name, name, length) == 0) {
            return classes[i].mask;
        }
    }
    char dtype[16] = "";
    if (length < sizeof dtype) {
        memcpy(dtype, name, length);
    }
    fer_dtype found = fer_dtype_from_name(dtype);
    return found != FER_DTYPE_NONE ? BIT(found) : 0;
}

static uint32_t list_mask(const char *text, size_t length) {
    uint32_t mask = 0;
    while (length > 0) {
        size_t piece = 0;
        while (piece < length && text[piece] != '|') {
            piece++;
        }
        mask |= class_mask(text, piece);
        piece += piece < length;
        text += piece;
        length -= piece;
    }
    return mask;
}

uint32_t type_mask(const op_row *row, const char *type, size_t length) {
    const char *text = row != NULL ? row->types : "";
    while (*text != '\0') {
        const char *equals = strchr(text, '=');
        if (equals == NULL) {
            break;
        }
        size_t bound = strcspn(equals + 1, ";");
        if ((size_t)(equals - text) == length && memcmp(text, type, length) == 0) {
            return list_mask(equals + 1, bound);
        }
        text = equals + 1 + bound;
        text += strspn(text, "; ");
    }
    return list_mask(type, length);
}

char attribute_kind(const op_row *row, const char *name, size_t length) {
    const char *text = row->attrs;
    while (*text != '\0') {
        text += strspn(text, ", ");
        size_t here = strcspn(text, ":");
        if (text[here] == '\0') {
            return 0;
        }
        if (here == length && memcmp(text, name, length) == 0) {
            return text[here + 1];
        }
        text += here;
        text += strcspn(text, ",");
    }
    return 0;
}
