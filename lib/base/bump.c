/* SPDX-License-Identifier: Apache-2.0
 *
 * The bump allocator: blocks of the env's heap that double up to 1 MiB, handed out front to back
 * and never reused, so that a fresh zeroed block needs no zeroing per piece. Pieces larger than a
 * block get their own.
 */
#include "base/bump.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct feri_bump_block {
    feri_bump_block *next;
    uint64_t bytes; /* of the whole block */
    uint64_t used;  /* header included */
    uint64_t padding;
};
_Static_assert(sizeof(feri_bump_block) % 16 == 0, "pieces are aligned to 16");

enum { BLOCK_MIN = 4096, BLOCK_MAX = 1 << 20 };

void feri_bump_init(feri_bump *bump, feri_env *env) { *bump = (feri_bump){.env = env}; }

void feri_bump_finish(feri_bump *bump) {
    feri_bump_block *block = bump->blocks;
    while (block) {
        feri_bump_block *next = block->next;
        feri_free(bump->env, block, block->bytes);
        block = next;
    }
    bump->blocks = NULL;
    bump->total_bytes = 0;
}

static feri_bump_block *add_block(feri_bump *bump, uint64_t piece) {
    uint64_t bytes = bump->total_bytes < BLOCK_MIN   ? BLOCK_MIN
                     : bump->total_bytes > BLOCK_MAX ? BLOCK_MAX
                                                     : bump->total_bytes;
    uint64_t needed = feri_add_sat(piece, sizeof(feri_bump_block));
    bytes = needed > bytes ? needed : bytes;
    feri_bump_block *block = feri_alloc(bump->env, bytes);
    if (!block) {
        return NULL;
    }
    block->bytes = bytes;
    block->used = sizeof *block;
    bump->total_bytes += bytes;
    /* The block with more room left stays in front. */
    if (bump->blocks && bytes - needed < bump->blocks->bytes - bump->blocks->used) {
        block->next = bump->blocks->next;
        bump->blocks->next = block;
    } else {
        block->next = bump->blocks;
        bump->blocks = block;
    }
    return block;
}

void *feri_bump_alloc(feri_bump *bump, uint64_t bytes) {
    if (bytes > PTRDIFF_MAX - 64) {
        (void)feri_out_of_memory(bytes);
        return NULL;
    }
    uint64_t piece = bytes ? (bytes + 15) & ~UINT64_C(15) : 16;
    feri_bump_block *block = bump->blocks;
    if (!block || block->bytes - block->used < piece) {
        block = add_block(bump, piece);
        if (!block) {
            return NULL;
        }
    }
    void *memory = (uint8_t *)block + block->used;
    block->used += piece;
    return memory;
}

void *feri_bump_array(feri_bump *bump, uint64_t count, uint64_t element_bytes) {
    return feri_bump_alloc(bump, feri_mul_sat(count, element_bytes));
}

fer_status feri_bump_arrays(feri_bump *bump,
                            void *object,
                            const void *counts,
                            const feri_array_row *rows,
                            uint32_t row_count) {
    for (const feri_array_row *row = rows; row < rows + row_count; row++) {
        uint32_t count;
        memcpy(&count, (const char *)counts + row->count, sizeof count);
        void *array = feri_bump_array(bump, count, row->element_bytes);
        if (!array) {
            return feri_error_status();
        }
        memcpy((char *)object + row->member, &array, sizeof array);
    }
    return FER_OK;
}

char *feri_bump_strndup(feri_bump *bump, const char *text, uint64_t length) {
    char *copy = feri_bump_alloc(bump, feri_add_sat(length, 1));
    if (copy && length) {
        memcpy(copy, text, length);
    }
    return copy;
}

char *feri_bump_printf(feri_bump *bump, const char *format, ...) {
    char *text = NULL;
    int length = 0;
    for (;;) { /* once to measure, once to print */
        va_list arguments;
        va_start(arguments, format);
        length = vsnprintf(text, text ? (size_t)length + 1 : 0, format, arguments);
        va_end(arguments);
        if (length < 0) {
            (void)feri_fail(FER_INTERNAL, "a text could not be formatted");
            return NULL;
        }
        if (text) {
            return text;
        }
        text = feri_bump_alloc(bump, (uint64_t)length + 1);
        if (!text) {
            return NULL;
        }
    }
}

fer_status
feri_bump_copy(feri_bump *bump, void *array_pointer, uint64_t count, size_t element_bytes) {
    const void *from;
    void *to = feri_bump_array(bump, count, element_bytes);
    if (!to) {
        return feri_error_status();
    }
    memcpy(&from, array_pointer, sizeof from);
    if (count) {
        memcpy(to, from, count * element_bytes);
    }
    memcpy(array_pointer, &to, sizeof to);
    return FER_OK;
}

fer_status feri_bump_grow(feri_bump *bump,
                          void *array_pointer,
                          uint32_t *capacity,
                          uint32_t needed,
                          size_t element_bytes) {
    if (needed <= *capacity) {
        return FER_OK;
    }
    uint32_t grown = *capacity > UINT32_MAX / 2 ? UINT32_MAX : *capacity * 2;
    grown = grown < 4 ? 4 : grown;
    grown = grown < needed ? needed : grown;
    void *array = feri_bump_alloc(bump, feri_mul_sat(grown, element_bytes));
    if (!array) {
        return feri_error_status();
    }
    void *old = NULL;
    memcpy(&old, array_pointer, sizeof old);
    if (old && *capacity) {
        memcpy(array, old, (uint64_t)*capacity * element_bytes);
    }
    memcpy(array_pointer, &array, sizeof array);
    *capacity = grown;
    return FER_OK;
}
