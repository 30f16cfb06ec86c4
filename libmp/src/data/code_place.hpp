// SPDX-License-Identifier: BSL-1.0
// CodePlace: where in which file an address of code lies, and what is called so there;
// also of another process, whose modules lie elsewhere or are not loaded here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mp::detail {

/// A module that has an address. The texts are the loader's.
struct LoadedCode {
    std::uintptr_t base = 0;  ///< what to add to an address in the file
    const char* path = "";    ///< as it was loaded; empty for the program
    std::string_view build_id;
};

/// The module that has the address, if there is one. Async-signal-safe: no lock, no
/// memory.
std::optional<LoadedCode> loaded_code_at(std::uintptr_t address) noexcept;

struct CodePlace {
    std::string path;  ///< of the module's file
    std::string build_id;
    std::uint64_t offset = 0;
};

/// The linker's name of the function there: from the symbol table of the file, which
/// knows static functions, too, else from its dynamic symbols. Empty where it is not
/// known, or the file has another build-id by now. Slow; for errors only.
std::string symbol_at(const CodePlace& place);

}  // namespace mp::detail
