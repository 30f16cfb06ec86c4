// SPDX-License-Identifier: BSL-1.0
// The name of a function for messages: from the dynamic symbols, else from the symbol
// table of the module's file, which knows static functions too. Slow; for errors only.
#include "mp/detail/code_ref.hpp"
#include "mp/fd.hpp"

#include "data/module.hpp"
#include "os/new_fd.hpp"
#include "util/demangle.hpp"
#include "util/hex.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace mp::detail {

namespace {

class MappedFile {
public:
    explicit MappedFile(const char* path) {
        const UniqueFd fd =
            os::try_new_fd([path] { return ::open(path, O_RDONLY | O_CLOEXEC); });
        struct stat status {};
        if (!fd || ::fstat(fd.get(), &status) < 0 || status.st_size <= 0) {
            return;
        }
        const auto size = static_cast<std::size_t>(status.st_size);
        void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
        if (at != MAP_FAILED) {
            bytes_ = {static_cast<const char*>(at), size};
        }
    }

    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    ~MappedFile() {
        if (!bytes_.empty()) {
            ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
        }
    }

    /// Empty if the file does not reach that far.
    std::string_view view(std::uint64_t offset, std::uint64_t size) const {
        if (offset > bytes_.size() || size > bytes_.size() - offset) {
            return {};
        }
        return bytes_.substr(offset, size);
    }

    /// False if the file does not reach that far.
    template <class T>
    bool read(std::uint64_t offset, T& to) const {
        const auto bytes = view(offset, sizeof(T));
        if (bytes.empty()) {
            return false;
        }
        std::memcpy(&to, bytes.data(), sizeof(T));
        return true;
    }

private:
    std::string_view bytes_;
};

/// The function symbol of `table` that covers `address`.
std::string symbol_in(
    const MappedFile& file,
    const ElfW(Shdr) & table,
    const ElfW(Shdr) & strings,
    std::uint64_t address
) {
    const auto names = file.view(strings.sh_offset, strings.sh_size);
    ElfW(Sym) symbol;
    for (std::uint64_t at = 0; at + sizeof symbol <= table.sh_size;
         at += sizeof symbol) {
        if (!file.read(table.sh_offset + at, symbol)) {
            break;
        }
        if ((symbol.st_info & 0xf) == STT_FUNC && symbol.st_name < names.size() &&
            address - symbol.st_value < std::max<std::uint64_t>(symbol.st_size, 1)) {
            const auto name = names.substr(symbol.st_name);
            return std::string(name.substr(0, name.find('\0')));
        }
    }
    return {};
}

std::string symbol_at(const char* path, std::uint64_t address) {
    const MappedFile file(path);
    ElfW(Ehdr) header;
    if (!file.read(0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        return {};
    }
    const auto section = [&](std::uint64_t index, ElfW(Shdr) & to) {
        return file.read(header.e_shoff + index * sizeof to, to);
    };
    for (unsigned i = 0; i < header.e_shnum; ++i) {
        ElfW(Shdr) table;
        ElfW(Shdr) strings;
        if (section(i, table) && table.sh_type == SHT_SYMTAB &&
            section(table.sh_link, strings)) {
            return symbol_in(file, table, strings, address);
        }
    }
    return {};
}

}  // namespace

std::string function_name(const void* function) {
    const auto address = reinterpret_cast<std::uintptr_t>(function);
    const Module* const module = module_with_code_at(address);
    if (module == nullptr) {
        return hex_number(address);
    }
    Dl_info symbol{};
    if (::dladdr(function, &symbol) != 0 && symbol.dli_saddr == function) {
        return demangled(symbol.dli_sname);
    }
    const std::uint64_t offset = address - module->base;
    const bool program = module->path.empty();
    const std::string& path = module->findable_path();
    const auto name = symbol_at(program ? "/proc/self/exe" : path.c_str(), offset);
    if (!name.empty()) {
        return demangled(name.c_str());
    }
    return (program ? "program" : path) + "+" + hex_number(offset);
}

}  // namespace mp::detail
