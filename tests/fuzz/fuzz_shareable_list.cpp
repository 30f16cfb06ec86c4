// SPDX-License-Identifier: BSL-1.0
// Any bytes, looked at as a ShareableList: an error or a value, never a crash, and
// nothing is read or written outside the memory.
#include "shared/shareable_layout.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

namespace {

void look_at(std::span<std::byte> memory) {
    using mp::detail::ShareableLayout;
    const auto layout = ShareableLayout::in(memory);
    if (layout.size() > memory.size()) {
        std::abort();
    }
    for (std::size_t i = 0; i < layout.count; ++i) {
        try {
            static_cast<void>(layout.format(memory, i));
            const mp::ShareableItem item = layout.get(memory, i);
            layout.set(memory, i, item);
            if (!(layout.get(memory, i) == item) && item == item) {
                std::abort();
            }
            layout.set(memory, i, "text");
        } catch (const std::invalid_argument&) {
            // Most bytes are no item.
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Of exactly that size, on the heap, where the sanitizer sees every step outside.
    const auto memory = std::make_unique<std::byte[]>(size);
    for (std::size_t i = 0; i < size; ++i) {
        memory[i] = static_cast<std::byte>(data[i]);
    }
    try {
        look_at({memory.get(), size});
    } catch (const std::invalid_argument&) {
        // Most bytes are no list.
    }
    return 0;
}
