// SPDX-License-Identifier: BSL-1.0
// Code references: a function, named so that another run of the same program finds it.
// Python:  pickle's "module.qualname" of a function.
// Differs: the name is (build-id of the module, offset in it), so no function needs to
//          be registered, and another build is an error instead of another function.
// Threads: any. The reading side calls what it reads: only bytes of a trusted peer.
#pragma once

#include "mp/detail/bytes.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mp::detail {

/// Where the main program's code lies. Found at first use.
struct ProgramCode {
    std::atomic<std::uintptr_t> base{0};
    std::atomic<std::uintptr_t> begin{0};
    std::atomic<std::size_t> size{0};
};

extern constinit ProgramCode program_code;

// Wire form, 64 bits: a tag in the top 16 bits, the offset in the module in the others.
inline constexpr int code_tag_shift = 48;
inline constexpr std::uint64_t code_tag_program = 0;
/// The build-id and the path of the module follow.
inline constexpr std::uint64_t code_tag_module = 0xffff;

void write_any_code_ref(ByteWriter& out, const void* function);
const void* read_any_code_ref(ByteReader& in, std::uint64_t word);

/// Appends a reference to `function`. Throws BinaryMismatch if it lies in a module that
/// was linked without a build-id, std::invalid_argument if it is no function at all.
inline void write_code_ref(ByteWriter& out, const void* function) {
    const auto address = reinterpret_cast<std::uintptr_t>(function);
    // order: pairs with find_program_code, so that base and begin are there once size
    // is
    const std::size_t size = program_code.size.load(std::memory_order_acquire);
    if (address - program_code.begin.load(std::memory_order_relaxed) < size)
        [[likely]] {
        out.put_value<std::uint64_t>(
            address - program_code.base.load(std::memory_order_relaxed)
        );
        return;
    }
    write_any_code_ref(out, function);
}

/// The function a reference names; a module that is not loaded here is loaded. Throws
/// BinaryMismatch if this process has no such code: another build, an offset outside
/// the module's code, a file that was replaced.
inline const void* read_code_ref(ByteReader& in) {
    const auto word = in.get_value<std::uint64_t>();
    // order: pairs with find_program_code, so that base and begin are there once size
    // is
    const std::size_t size = program_code.size.load(std::memory_order_acquire);
    const std::uintptr_t address =
        program_code.base.load(std::memory_order_relaxed) + word;
    if (word >> code_tag_shift == code_tag_program &&
        address - program_code.begin.load(std::memory_order_relaxed) < size)
        [[likely]] {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): an address found by arithmetic
        return reinterpret_cast<const void*>(address);
    }
    return read_any_code_ref(in, word);
}

/// The function a reference names, if it lies in a module that is loaded here already;
/// else null. Loads nothing, and opens no file.
const void* find_code_ref(ByteReader& in);

/// The build-id of the running program, in hex. Two processes whose ids are equal can
/// exchange code references. Throws BinaryMismatch if it was linked without one.
std::string program_build_id();
/// The same, but empty if it has none.
std::string program_build_id_if_any();

/// The build-id of the module that this library is a part of, in hex: the program's own
/// or that of a shared library. Empty if it was linked without one.
std::string library_build_id();

/// The path of that module; empty if it is the program.
std::string library_path();

/// From now on the program is libmp-worker, whose functions nobody names: what is named
/// as the program's is another program's.
void program_is_a_worker() noexcept;
bool is_program_a_worker() noexcept;

/// Is that the build-id (its bytes) of the running program?
bool is_own_program(std::string_view build_id);

/// What to call `function` in a message: "fib(int)", or "program+0x1234" where no
/// symbol is known. A hint only: the linker may have folded equal functions into one.
std::string function_name(const void* function);

/// The linker's name of the function that begins exactly there, demangled; empty if
/// none does, or it is not known. Reads files of loaded modules only.
std::string name_of_function_at(const void* function);

}  // namespace mp::detail
