// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/making.hpp"

#include "mp/detail/creator.hpp"

#include <cstdint>

namespace futures::detail {

namespace {

struct MakingOfThread {
    unsigned depth = 0;
    std::uint64_t process = 0;  ///< whose thread it is
};

}  // namespace

unsigned& Making::depth() noexcept {
    thread_local constinit MakingOfThread here;
    const std::uint64_t process = mp::detail::process_token();
    if (here.process != process) {
        here = {0, process};
    }
    return here.depth;
}

}  // namespace futures::detail
