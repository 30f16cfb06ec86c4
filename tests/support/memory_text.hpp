// SPDX-License-Identifier: BSL-1.0
// put and text_in: text in shared memory.
#pragma once

#include "mp/shared_memory.hpp"

#include <cstring>
#include <string>

namespace test {

inline void put(const mp::SharedMemory& memory, const char* text) {
    std::memcpy(memory.buf().data(), text, std::strlen(text) + 1);
}

inline std::string text_in(const mp::SharedMemory& memory) {
    return reinterpret_cast<const char*>(memory.buf().data());
}

}  // namespace test
