/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong, and when: counters that run down to their fault, hangs, loss.
 */
#include "sim_chip.h"

#include <time.h>

static sim_device *devices;       /* all that are open; world's lock */
static atomic_uint release_epoch; /* a hang ends when this changes */
static atomic_uint hanging;

uint32_t sim_hanging(void) { return atomic_load(&hanging); }
void sim_release(void) { atomic_fetch_add(&release_epoch, 1); }

void sim_inject(uint32_t chip, const sim_faults *faults) {
    sim_lock();
    sim_chip_at(chip)->faults = *faults;
    sim_unlock();
}

int sim_fault_hits(sim_chip *chip, uint32_t *counter) {
    (void)chip;
    sim_lock();
    int hits = *counter == 1;
    *counter -= *counter > 0;
    sim_unlock();
    return hits;
}

void sim_device_enlist(sim_device *device) {
    sim_lock();
    device->next = devices;
    devices = device;
    sim_unlock();
}

void sim_device_delist(sim_device *device) {
    sim_lock();
    sim_device **link = &devices;
    while (*link != device) {
        link = &(*link)->next;
    }
    *link = device->next;
    sim_unlock();
}

static void lose(sim_chip *chip) {
    sim_lock();
    for (sim_device *device = devices; device != NULL; device = device->next) {
        if (device->chip == chip) {
            atomic_store(&device->is_lost, 1);
        }
    }
    sim_unlock();
}

void sim_lose(uint32_t index, int tell_host) {
    sim_chip *chip = sim_chip_at(index);
    const fer_host *hosts[16];
    uint32_t count = 0;
    lose(chip);
    sim_lock();
    for (sim_device *device = devices; device != NULL && tell_host && count < 16;
         device = device->next) {
        if (device->chip == chip) {
            hosts[count++] = device->host;
        }
    }
    sim_unlock();
    for (uint32_t i = 0; i < count; i++) {
        hosts[i]->lost(hosts[i]->self, index, "the simulated chip fell off its bus");
    }
}

static void lose_here(sim_device *device) {
    lose(device->chip);
    sim_lock();
    int tells = device->chip->faults.tells_loss != 0;
    sim_unlock();
    if (tells) {
        device->host->lost(
            device->host->self, device->chip->index, "the simulated chip fell off its bus");
    }
}

fer_status sim_enter(sim_device *device) {
    if (sim_fault_hits(device->chip, &device->chip->faults.lost_at_call)) {
        lose_here(device);
    }
    return atomic_load(&device->is_lost) == 0
               ? FER_OK
               : sim_fail(device, FER_DEVICE_LOST, /*node=*/NULL, "the simulated chip is gone");
}

int sim_kernel_fate(sim_chip *chip) {
    sim_faults *faults = &chip->faults;
    int loses = sim_fault_hits(chip, &faults->lost_at_kernel);
    int breaks = sim_fault_hits(chip, &faults->kernel_fails_at);
    int hangs = sim_fault_hits(chip, &faults->kernel_hangs_at);
    return loses ? SIM_LOSE : breaks ? SIM_BREAK : hangs ? SIM_HANG : SIM_GO;
}

int sim_hang(sim_device *device, const atomic_uint *cancelled, const atomic_uint *aborted) {
    uint32_t epoch = atomic_load(&release_epoch);
    sim_lock();
    int ignores = device->chip->faults.ignores_cancel != 0;
    sim_unlock();
    int goes_on = 1;
    atomic_fetch_add(&hanging, 1);
    while (atomic_load(&release_epoch) == epoch && goes_on) {
        int is_cancelled = !ignores && cancelled != NULL && atomic_load(cancelled) != 0;
        int is_aborted = aborted != NULL && atomic_load(aborted) != 0;
        goes_on = !is_cancelled && !is_aborted && (ignores || atomic_load(&device->is_lost) == 0);
        struct timespec little = {0, 200000};
        nanosleep(&little, NULL);
    }
    atomic_fetch_sub(&hanging, 1);
    return goes_on;
}
