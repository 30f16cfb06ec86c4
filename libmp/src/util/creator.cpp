// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/creator.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

namespace mp::detail {
namespace {

struct Page {
    std::atomic<std::uint64_t> token;
};

Page* make_page() noexcept {
    const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* memory = ::mmap(
        nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
    );
    if (memory == MAP_FAILED || ::madvise(memory, size, MADV_WIPEONFORK) != 0) {
        return nullptr;
    }
    return static_cast<Page*>(memory);
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

}  // namespace mp::detail
