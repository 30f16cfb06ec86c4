// SPDX-License-Identifier: BSL-1.0
#include "process_pool/worker_tree.hpp"

#include "os/pidfd.hpp"
#include "process_pool/last_grace.hpp"
#include "process_pool/process_tree.hpp"
#include "process_pool/stopped_process.hpp"
#include "process_pool/worker_table.hpp"
#include "util/diagnostics.hpp"

#include <signal.h>

#include <exception>
#include <optional>
#include <string>

namespace futures::detail {

namespace os = mp::os;

void end_worker_tree(const mp::Process& worker, int signal) {
    ProcessTree tree(worker.pid(), worker.sentinel());
    std::optional<StoppedProcess> standing;
    try {
        if (!os::pidfd_ended(worker.sentinel())) {
            standing.emplace(worker.pid(), worker.sentinel());
            if (standing->is_stopped()) {
                tree.find();
            }
        }
    } catch (const std::exception& error) {
        mp::detail::log_warning(
            std::string("not all processes that a task has started can be found: ") +
            error.what()
        );
    }
    tree.send_all(signal);
    if (signal == SIGKILL) {
        worker.handle().kill();
    } else {
        tree.send_all(SIGCONT);  // one that is stopped cannot end
        WorkerTable::send(worker, signal);
        kill_behind(worker, tree.take());
    }
}

}  // namespace futures::detail
