/* SPDX-License-Identifier: Apache-2.0
 *
 * How many CPUs this process may use: its affinity mask, capped by the quota of its cgroup (v2, and
 * v1 at the usual mount). Reads a few small files of the kernel; whatever is missing caps nothing.
 */
#include "base/workers.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Contents of a small file, terminated; 0 when unreadable. */
static int read_small(const char *path, char *text, size_t capacity) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    ssize_t length = read(file, text, capacity - 1);
    (void)close(file);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

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
    if (!read_small("/proc/self/cgroup", groups, sizeof groups)) {
        return count;
    }
    char *group = strstr(groups, "0::/");
    if (!group || (group != groups && group[-1] != '\n')) {
        return count;
    }
    group += 3;
    group[strcspn(group, "\n")] = 0;
    for (;;) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        if (read_small(path, text, sizeof text)) {
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

static uint32_t cap_by_v1(uint32_t count) {
    char quota_text[64];
    char period_text[64];
    if (!read_small("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota_text, sizeof quota_text) ||
        !read_small("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period_text, sizeof period_text)) {
        return count;
    }
    const char *quota = quota_text;
    const char *period = period_text;
    uint64_t quota_us = read_number(&quota); /* "-1": none */
    return cap(count, quota_us, read_number(&period));
}

uint32_t feri_cpu_count(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t count = online > 0 && online < 65536 ? (uint32_t)online : 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        count = (uint32_t)CPU_COUNT(&set);
    }
    count = cap_by_v1(cap_by_v2(count));
    return count ? count : 1;
}
