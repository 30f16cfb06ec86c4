// SPDX-License-Identifier: BSL-1.0
#include "executor/exit_hook.hpp"

#include <utility>

namespace futures::detail {

void join_at_exit(std::thread thread) {
    mp::detail::add_exit_part(
        mp::detail::ExitPhase::executors,
        [waiting = std::make_shared<std::thread>(std::move(thread))] {
            if (waiting->get_id() == std::this_thread::get_id()) {
                waiting->detach();  // it called exit(): the program ends in it
            } else {
                waiting->join();
            }
        }
    );
    mp::detail::ensure_exit_step();
}

}  // namespace futures::detail
