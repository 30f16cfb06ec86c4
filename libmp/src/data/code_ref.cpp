// SPDX-License-Identifier: BSL-1.0
// Code references of the program and of other modules: finding one for an address, and
// the address of one.
#include "mp/detail/code_ref.hpp"

#include "mp/errors.hpp"

#include "data/module.hpp"
#include "util/hex.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>

namespace mp::detail {

constinit ProgramCode program_code;

namespace {

constinit std::atomic<bool> worker_program{false};

constexpr std::uint64_t offset_mask = (std::uint64_t{1} << code_tag_shift) - 1;

void find_program_code() {
    if (program_code.size.load() != 0 || worker_program.load()) {
        return;
    }
    const Module& program = loaded_modules().front();
    const auto size = [](const Module::Range& range) {
        return range.end - range.begin;
    };
    const auto code = std::max_element(
        program.code.begin(),
        program.code.end(),
        [&](const auto& a, const auto& b) { return size(a) < size(b); }
    );
    if (code == program.code.end()) {
        return;
    }
    // order: none needed for these two; size is stored last, with release
    program_code.base.store(program.base, std::memory_order_relaxed);
    program_code.begin.store(code->begin, std::memory_order_relaxed);
    // order: pairs with write_code_ref and read_code_ref, so that they see base and
    // begin. Two threads may both do this; they store the same.
    program_code.size.store(size(*code), std::memory_order_release);
}

void put_short_text(ByteWriter& out, std::string_view text) {
    if (text.size() > 0xffff) {
        throw BinaryMismatch(
            "a module's name is too long: " + std::to_string(text.size()) + " bytes"
        );
    }
    out.put_value(static_cast<std::uint16_t>(text.size()));
    out.put(text.data(), text.size());
}

std::string get_short_text(ByteReader& in) {
    const auto bytes = in.view(in.get_value<std::uint16_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const Module* module_with(std::string_view build_id) {
    const auto& modules = loaded_modules();
    const auto found =
        std::find_if(modules.begin(), modules.end(), [&](const Module& module) {
            return module.build_id == build_id;
        });
    return found != modules.end() ? &*found : nullptr;
}

const void* code_at(const Module& module, std::uint64_t offset) {
    const std::uintptr_t address = module.base + offset;
    if (!module.has_code_at(address)) {
        throw BinaryMismatch(
            "no code at offset " + hex_number(offset) + " of " +
            (module.path.empty() ? "the program" : module.path) + " (build-id " +
            to_hex(module.build_id) + ")"
        );
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address found by arithmetic
    return reinterpret_cast<const void*>(address);
}

}  // namespace

void write_any_code_ref(ByteWriter& out, const void* function) {
    find_program_code();
    const auto address = reinterpret_cast<std::uintptr_t>(function);
    const Module* const module = module_with_code_at(address);
    if (module == nullptr) {
        throw std::invalid_argument(
            function == nullptr
                ? "a null pointer was given as function"
                : "no code at " + hex_number(address) + ", which was given as function"
        );
    }
    const std::uint64_t offset = address - module->base;
    if (module->path.empty()) {  // the program itself
        out.put_value(offset);
        return;
    }
    if (module->build_id.empty()) {
        throw BinaryMismatch(
            module->path + " has no build-id, so its functions have no name "
                           "in another process: link it with -Wl,--build-id"
        );
    }
    out.put_value(code_tag_module << code_tag_shift | offset);
    put_short_text(out, module->build_id);
    put_short_text(out, module->findable_path());
}

const void* read_any_code_ref(ByteReader& in, std::uint64_t word) {
    const std::uint64_t tag = word >> code_tag_shift;
    const std::uint64_t offset = word & offset_mask;
    if (tag == code_tag_program && worker_program.load()) {
        throw BinaryMismatch(
            "the function is a part of the program that sent it (offset " +
            hex_number(offset) +
            " there), and this process runs libmp-worker, which has only what shared "
            "libraries have: put the function into a shared library"
        );
    }
    if (tag == code_tag_program) {
        find_program_code();
        return code_at(loaded_modules().front(), offset);
    }
    if (tag != code_tag_module) {
        throw BinaryMismatch("not a code reference: " + hex_number(word));
    }
    const std::string build_id = get_short_text(in);
    const std::string path = get_short_text(in);
    if (build_id.empty()) {
        throw BinaryMismatch("a code reference names no build-id");
    }
    if (const Module* module = module_with(build_id)) {
        return code_at(*module, offset);
    }
    load_module(path, build_id);
    const Module* module = module_with(build_id);
    if (module == nullptr) {
        throw BinaryMismatch(path + " was loaded, but is not there");
    }
    return code_at(*module, offset);
}

const void* find_code_ref(ByteReader& in) {
    const auto word = in.get_value<std::uint64_t>();
    const std::uint64_t tag = word >> code_tag_shift;
    const Module* module = nullptr;
    if (tag == code_tag_program && !worker_program.load()) {
        module = &loaded_modules().front();
    } else if (tag == code_tag_module) {
        const std::string build_id = get_short_text(in);
        get_short_text(in);  // its path; nobody looks there
        module = build_id.empty() ? nullptr : module_with(build_id);
    }
    const std::uintptr_t address =
        module != nullptr ? module->base + (word & offset_mask) : 0;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address found by arithmetic
    const auto* const code = reinterpret_cast<const void*>(address);
    return module != nullptr && module->has_code_at(address) ? code : nullptr;
}

namespace {

const Module& library() {
    const Module* const module =
        module_with_code_at(reinterpret_cast<std::uintptr_t>(&program_is_a_worker));
    return module != nullptr ? *module : loaded_modules().front();
}

}  // namespace

std::string library_build_id() {
    return to_hex(library().build_id);
}

std::string library_path() {
    const Module& module = library();
    return module.path.empty() ? std::string() : module.findable_path();
}

void program_is_a_worker() noexcept {
    worker_program.store(true);
    // A static initialiser of this module may have looked already.
    program_code.size.store(0);
}

bool is_program_a_worker() noexcept {
    return worker_program.load();
}

bool is_own_program(std::string_view build_id) {
    return loaded_modules().front().build_id == build_id;
}

std::string program_build_id_if_any() {
    return to_hex(loaded_modules().front().build_id);
}

std::string program_build_id() {
    const Module& program = loaded_modules().front();
    if (program.build_id.empty()) {
        throw BinaryMismatch(
            "the program has no build-id, so another process cannot tell whether it is "
            "the same program: link it with -Wl,--build-id"
        );
    }
    return to_hex(program.build_id);
}

}  // namespace mp::detail
