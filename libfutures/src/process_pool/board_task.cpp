// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/board_task.hpp"

#include <cstring>

namespace futures::detail {

void Message::assign(std::span<const std::byte> bytes) {
    std::unique_ptr<std::byte[]> heap;
    if (bytes.size() > inline_size) {
        heap.reset(new std::byte[bytes.size()]);
    }
    if (!bytes.empty()) {  // else there may be no address
        std::memcpy(heap ? heap.get() : inline_.data(), bytes.data(), bytes.size());
    }
    // Last: `bytes` may be ours.
    heap_ = std::move(heap);
    block_.reset();
    size_ = static_cast<std::uint32_t>(bytes.size());
}

}  // namespace futures::detail
