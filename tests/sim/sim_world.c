/* SPDX-License-Identifier: Apache-2.0
 *
 * The world of the simulator: chips, counts, violations, the clock. It is the process's hardware,
 * so it is the one thing here that is global.
 */
#include "sim_chip.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct {
    pthread_mutex_t lock;
    sim_chip chips[SIM_CHIPS];
    atomic_uint live;
    uint32_t violation_count;
    char violation[240];
} world = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .chips = {{.index = 0}, {.index = 1}, {.index = 2}}
};

void sim_lock(void) { pthread_mutex_lock(&world.lock); }
void sim_unlock(void) { pthread_mutex_unlock(&world.lock); }

sim_chip *sim_chip_at(uint32_t index) { return &world.chips[index % SIM_CHIPS]; }

void sim_count_live(int32_t by) { atomic_fetch_add(&world.live, (uint32_t)by); }
uint32_t sim_live(void) { return atomic_load(&world.live); }

void sim_violate(const char *format, ...) {
    char text[240];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    sim_lock();
    if (world.violation_count++ == 0) {
        memcpy(world.violation, text, sizeof(text));
    }
    sim_unlock();
}

const char *sim_violation(void) {
    sim_lock();
    const char *text = world.violation_count > 0 ? world.violation : NULL;
    sim_unlock();
    return text;
}

void sim_reset(void) {
    sim_release();
    sim_lock();
    for (uint32_t i = 0; i < SIM_CHIPS; i++) {
        uint64_t live_bytes = world.chips[i].stats.live_bytes;
        world.chips[i] = (sim_chip){.index = i, .stats.live_bytes = live_bytes};
    }
    world.violation_count = 0;
    sim_unlock();
}

void sim_configure(uint32_t chip, const sim_config *config) {
    sim_lock();
    sim_chip_at(chip)->config = *config;
    sim_unlock();
}

sim_stats sim_get_stats(uint32_t chip) {
    sim_lock();
    sim_stats stats = sim_chip_at(chip)->stats;
    sim_unlock();
    return stats;
}

void *sim_take(const fer_host *host, size_t bytes) {
    void *memory = host->alloc(host->self, bytes, 16);
    if (memory != NULL) {
        memset(memory, 0, bytes);
    }
    return memory;
}

void sim_give(const fer_host *host, void *memory, size_t bytes) {
    if (memory != NULL) {
        host->free(host->self, memory, bytes, 16);
    }
}

fer_status
sim_fail(const sim_device *device, fer_status status, const char *node, const char *why) {
    sim_lock();
    int is_silent = device->chip->config.is_silent != 0;
    sim_unlock();
    return is_silent
               ? status
               : device->host->fail(device->host->self, status, /*native_code=*/77, node, why);
}

/* Every chip's clock is seconds ahead of the host's, so that an uncorrelated time is noticed. */
uint64_t sim_clock_ahead_ns(uint32_t chip) { return (uint64_t)(chip + 1) * 1000000000u * 3600u; }

uint64_t sim_chip_clock(const sim_chip *chip) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec +
           sim_clock_ahead_ns(chip->index);
}
