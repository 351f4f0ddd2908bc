/* SPDX-License-Identifier: Apache-2.0
 *
 * How many CPUs this process may use: its affinity mask, capped by the quota of its cgroup (v2, and
 * v1 at the usual mount). Reads a few small files of the kernel; whatever is missing caps nothing.
 */
#include "base/text.h"
#include "base/workers.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Digits at *cursor; 0 if there are none. */
static uint64_t read_number(const char **cursor) {
    uint64_t number = 0;
    while (**cursor >= '0' && **cursor <= '9' && number < UINT64_C(1) << 56) {
        number = number * 10 + (uint64_t)(*(*cursor)++ - '0');
    }
    return number;
}

static uint32_t cap(uint32_t count, uint64_t quota, uint64_t period) {
    if (!quota || !period) {
        return count;
    }
    uint64_t cpus = (quota + period - 1) / period;
    return cpus < count ? (uint32_t)cpus : count;
}

/* cpu.max of the group and of each group above it: "max 100000" or "200000 100000". */
static uint32_t cap_by_v2(uint32_t count) {
    char groups[2048];
    char path[2304];
    char text[64];
    if (feri_read_small("/proc/self/cgroup", groups, sizeof groups) <= 0) {
        return count;
    }
    /* The line "0::/path" is v2's. */
    char *group = groups;
    while (strncmp(group, "0::/", 4) != 0) {
        group = strchr(group, '\n');
        if (!group++) {
            return count;
        }
    }
    group += 3;
    char *end = strchr(group, '\n');
    if (end) {
        *end = 0;
    }
    for (;;) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        if (feri_read_small(path, text, sizeof text) > 0) {
            const char *cursor = text;
            uint64_t quota = read_number(&cursor);
            cursor += *cursor == ' ';
            count = cap(count, quota, read_number(&cursor));
        }
        char *slash = strrchr(group, '/');
        if (!slash) {
            return count;
        }
        *slash = 0;
    }
}

/* The number that a file holds; 0 when it has none, as "-1". */
static uint64_t number_in(const char *path) {
    char text[64];
    const char *cursor = text;
    return feri_read_small(path, text, sizeof text) > 0 ? read_number(&cursor) : 0;
}

static uint32_t cap_by_v1(uint32_t count) {
    return cap(count,
               number_in("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
               number_in("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
}

uint32_t feri_cpu_count(void) {
    cpu_set_t sets[8]; /* of more than 8,192 CPUs the kernel tells nothing */
    memset(sets, 0, sizeof sets);
    long count = sched_getaffinity(0, sizeof sets, sets) == 0 ? CPU_COUNT_S(sizeof sets, sets)
                                                              : sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t capped = cap_by_v1(cap_by_v2(count > 0 ? (uint32_t)count : 1));
    return capped ? capped : 1;
}
