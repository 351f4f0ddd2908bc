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
    const fer_lifetime *life;
} placed;

static int larger_first(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? 1 : -1;
    }
    return x->life < y->life ? -1 : 1;
}

/* The lowest gap for item among the placed ones, which are in order of offset. */
static uint64_t gap_find(placed *const *by_offset, uint32_t count, const placed *item) {
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        const placed *other = by_offset[i];
        if (other->life->last < item->life->first || other->life->first > item->life->last) {
            continue;
        }
        if (other->offset >= end && other->offset - end >= item->bytes) {
            break;
        }
        if (other->offset + other->bytes > end) {
            end = other->offset + other->bytes;
        }
    }
    return end;
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
    uint64_t scratch_bytes = feri_mul_sat(count, sizeof(placed) + sizeof(placed *));
    placed *items = feri_alloc(env, scratch_bytes);
    if (items == NULL) {
        return feri_error_status();
    }
    placed **by_offset = (placed **)(items + count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t bytes = feri_add_sat(lifetimes[i].bytes, alignment - 1) & ~(alignment - 1);
        items[i] = (placed){bytes, 0, &lifetimes[i]};
    }
    qsort(items, count, sizeof(placed), larger_first);
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < count; i++) {
        placed *item = &items[i];
        item->offset = i < SEARCHED ? gap_find(by_offset, i, item) : *out_bytes;
        uint64_t end = feri_add_sat(item->offset, item->bytes);
        if (end > UINT64_MAX / 2) {
            status = feri_fail(FER_LIMIT, "an arena of more than 2^63 bytes would be needed");
            break;
        }
        if (i < SEARCHED) {
            uint32_t at = i;
            for (; at > 0 && by_offset[at - 1]->offset > item->offset; at--) {
                by_offset[at] = by_offset[at - 1];
            }
            by_offset[at] = item;
        }
        out_offsets[item->life - lifetimes] = item->offset;
        *out_bytes = end > *out_bytes ? end : *out_bytes;
    }
    feri_free(env, items, scratch_bytes);
    return status;
}
