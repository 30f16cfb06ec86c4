// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/creator.hpp"

#include "os/wiped_memory.hpp"

#include <unistd.h>

#include <atomic>
#include <exception>

namespace mp::detail {
namespace {

struct Page {
    std::atomic<std::uint64_t> token;
};

Page* make_page() noexcept {
    try {
        return static_cast<Page*>(os::memory_wiped_at_fork(sizeof(Page)));
    } catch (const std::exception&) {
        return nullptr;  // the pid has to do
    }
}

// Counts up in the ordinary memory that a child copies, so a child's number is larger
// than its parent's; the pid in the upper half keeps siblings apart.
std::atomic<std::uint32_t> generation{0};

std::uint64_t new_token() noexcept {
    const auto pid = static_cast<std::uint64_t>(::getpid());
    return pid << 32U | (generation.fetch_add(1) + 1U);
}

}  // namespace

std::uint64_t process_token() noexcept {
    static Page* const page = make_page();
    if (page == nullptr) {
        return static_cast<std::uint64_t>(::getpid());
    }
    // order: relaxed, because the number carries no other data with it.
    std::uint64_t token = page->token.load(std::memory_order_relaxed);
    if (token == 0) {
        const std::uint64_t mine = new_token();
        if (page->token.compare_exchange_strong(token, mine)) {
            token = mine;
        }
    }
    return token;
}

namespace {

// Before main, so that no fork can fall into the making.
[[maybe_unused]] const bool token_made_early = (process_token(), true);

}  // namespace

}  // namespace mp::detail
