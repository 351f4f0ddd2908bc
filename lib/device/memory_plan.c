/* SPDX-License-Identifier: Apache-2.0
 *
 * Offsets for buffers whose lives are known: largest first, each at the lowest gap among those
 * already placed that live at the same time (greedy by size; Pisarchyk and Lee, "Efficient Memory
 * Management for Deep Neural Net Inference", 2020).
 */
#include "base/error.h"
#include "device/device.h"

#include <stdlib.h>

typedef struct placed {
    uint64_t bytes;
    uint64_t offset;
    uint32_t index;
    uint32_t first;
    uint32_t last;
} placed;

static int larger_first(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? 1 : -1;
    }
    return x->index < y->index ? -1 : 1;
}

/* by_offset holds the placed ones in order of offset; returns where item goes and its offset. */
static uint32_t gap_find(const placed *by_offset, uint32_t count, placed *item) {
    uint64_t end = 0;
    uint32_t at = count;
    item->offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        const placed *other = &by_offset[i];
        if (other->last < item->first || other->first > item->last) {
            continue;
        }
        if (other->offset >= end && other->offset - end >= item->bytes) {
            break;
        }
        if (other->offset + other->bytes > end) {
            end = other->offset + other->bytes;
        }
    }
    item->offset = end;
    for (uint32_t i = 0; i < count; i++) {
        if (by_offset[i].offset > end) {
            at = i;
            break;
        }
    }
    return at;
}

/* Beyond this many buffers the quadratic search costs more than the memory it saves: the rest is
 * stacked. */
enum { SEARCHED = 4096 };

fer_status feri_plan_memory(const fer_lifetime *lifetimes,
                            uint32_t count,
                            uint64_t alignment,
                            feri_env *env,
                            uint64_t *out_offsets,
                            uint64_t *out_bytes) {
    *out_bytes = 0;
    if (count == 0) {
        return FER_OK;
    }
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        return feri_fail(FER_INVALID_ARGUMENT, "plan_memory: the alignment must be a power of two");
    }
    uint64_t scratch_bytes = feri_mul_sat(count, 2 * sizeof(placed));
    placed *items = feri_alloc(env, scratch_bytes);
    if (items == NULL) {
        return fer_error_last()->status;
    }
    placed *by_offset = items + count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t bytes = feri_add_sat(lifetimes[i].bytes, alignment - 1) & ~(alignment - 1);
        items[i] = (placed){bytes, 0, i, lifetimes[i].first, lifetimes[i].last};
    }
    qsort(items, count, sizeof(placed), larger_first);
    uint32_t kept = 0;
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = kept;
        if (kept < SEARCHED) {
            at = gap_find(by_offset, kept, &items[i]);
        } else {
            items[i].offset = *out_bytes;
        }
        if (feri_add_sat(items[i].offset, items[i].bytes) > UINT64_MAX / 2) {
            status = feri_fail(FER_LIMIT, "an arena of more than 2^63 bytes would be needed");
            break;
        }
        if (kept < SEARCHED) {
            for (uint32_t j = kept; j > at; j--) {
                by_offset[j] = by_offset[j - 1];
            }
            by_offset[at] = items[i];
            kept++;
        }
        out_offsets[items[i].index] = items[i].offset;
        if (items[i].offset + items[i].bytes > *out_bytes) {
            *out_bytes = items[i].offset + items[i].bytes;
        }
    }
    feri_free(env, items, scratch_bytes);
    return status;
}
