// SPDX-License-Identifier: BSL-1.0
// Short secrets share pages, in slots; a long one has pages of its own.
#include "os/secret.hpp"

#include "os/check.hpp"
#include "os/page.hpp"
#include "os/random.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

namespace mp::os {
namespace {

constexpr std::size_t slot_size = 64;
constexpr std::size_t slots = 64;

std::byte* new_pages(std::size_t size) {
    void* const pages = ::mmap(
        nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
    );
    if (pages == MAP_FAILED) {
        throw_last_error("mmap");
    }
    // Where a sandbox refuses it the keys are in core files, as they would be
    // elsewhere.
    ::madvise(pages, size, MADV_DONTDUMP);
    return static_cast<std::byte*>(pages);
}

// Pages of slots. Never given back: a program has few keys. Without a lock: keys come
// and go under locks of others, and a fork finds no page half-changed.
struct Page {
    std::byte* begin;
    std::atomic<std::uint64_t> used{0};
    Page* next = nullptr;
};

constinit std::atomic<Page*> first_page{nullptr};

std::byte* take_slot(Page& page) noexcept {
    std::uint64_t used = page.used.load();
    while (~used != 0) {
        const auto number = static_cast<unsigned>(std::countr_one(used));
        if (page.used.compare_exchange_weak(used, used | std::uint64_t{1} << number)) {
            return page.begin + number * slot_size;
        }
    }
    return nullptr;
}

std::byte* take_slot() {
    for (Page* page = first_page.load(); page != nullptr; page = page->next) {
        if (std::byte* const slot = take_slot(*page)) {
            return slot;
        }
    }
    auto page = std::make_unique<Page>();
    page->begin = new_pages(rounded_up(slots * slot_size, page_size()));
    std::byte* const slot = take_slot(*page);
    page->next = first_page.load();
    while (!first_page.compare_exchange_weak(page->next, page.get())) {
    }
    static_cast<void>(page.release());
    return slot;
}

void give_back_slot(std::byte* slot) noexcept {
    for (Page* page = first_page.load(); page != nullptr; page = page->next) {
        if (slot >= page->begin && slot < page->begin + slots * slot_size) {
            const auto number =
                static_cast<std::size_t>(slot - page->begin) / slot_size;
            page->used.fetch_and(~(std::uint64_t{1} << number));
        }
    }
}

struct Forget {
    std::size_t size;

    void operator()(std::byte* secret) const noexcept {
        wipe({secret, size});
        if (size <= slot_size) {
            give_back_slot(secret);
        } else {
            ::munmap(secret, rounded_up(size, page_size()));
        }
    }
};

}  // namespace

Secret::Secret(std::size_t size)
    : first_(
          size <= slot_size ? take_slot() : new_pages(rounded_up(size, page_size())),
          Forget{size}
      ),
      size_(size) {}

Secret::Secret(std::span<const std::byte> bytes) : Secret(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), first_.get());
}

}  // namespace mp::os
