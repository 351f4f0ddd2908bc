/* SPDX-License-Identifier: Apache-2.0
 *
 * A program's placement, summed per device. Host and folded nodes stand outside the shares.
 */
#include "command.h"

#include <string.h>

static placement_sum *sum_of(placement_report *report, const char *device) {
    for (uint32_t i = 0; i < report->sum_count; i++) {
        if (strcmp(report->sums[i].device, device) == 0) {
            return &report->sums[i];
        }
    }
    if (report->sum_count == sizeof report->sums / sizeof *report->sums) {
        return NULL;
    }
    placement_sum *sum = &report->sums[report->sum_count++];
    (void)snprintf(sum->device, sizeof sum->device, "%s", device);
    return sum;
}

fer_status placement_read(fer_program *program, placement_report *out_report) {
    uint64_t count = 0;
    fer_status status = fer_program_placement_count(program, &count);
    *out_report = (placement_report){0};
    for (uint64_t i = 0; i < count && status == FER_OK; i++) {
        fer_placement line = {.struct_size = sizeof line};
        status = fer_program_placement(program, i, &line);
        if (status != FER_OK) {
            break;
        }
        if (strcmp(line.device, "host") == 0) {
            out_report->host_count++;
            continue;
        }
        if (strcmp(line.device, "folded") == 0) {
            out_report->folded_count++;
            continue;
        }
        placement_sum *sum = sum_of(out_report, line.device);
        if (sum != NULL) {
            sum->nodes++;
            sum->work += line.work;
        }
        out_report->node_count++;
        out_report->work += line.work;
        out_report->fallback_count += line.reason[0] != '\0';
    }
    out_report->device_first = out_report->node_count - out_report->fallback_count;
    return status;
}
