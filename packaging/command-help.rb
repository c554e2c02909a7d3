#!/usr/bin/env ruby
# frozen_string_literal: true

# Completions and the manual page of `standfast`, from what its own -h says, so that they cannot differ.
# Usage: command-help.rb EXECUTABLE bash|zsh|fish|man

require 'open3'
require 'time'

Option = Struct.new(:short, :long, :value, :text)
Verb = Struct.new(:name, :summary, :options, :arguments, :usage)

# What `EXECUTABLE [VERB] -h` says.
class Help
  attr_reader :summary, :verbs, :options

  def initialize(executable)
    @executable = executable
    top = sections
    @summary = top['']
    @options = options_in(top['Options'])
    @verbs = pairs(top['Commands']).reject { |name, _| name == 'help' }.map do |name, summary|
      own = sections(name)
      Verb.new(name, summary, options_in(own['Options']), pairs(own['Arguments']), own['Usage'].delete_prefix('standfast '))
    end
    abort "#{executable}: no verbs in its help" if @verbs.empty?
  end

  private

  # Heading => text below it; '' has what stands before the first.
  def sections(*verb)
    text, status = Open3.capture2(@executable, *verb, '-h')
    abort "#{@executable} #{verb.join(' ')} -h failed" unless status.success?
    found = Hash.new('')
    heading = ''
    text.each_line(chomp: true) do |line|
      if (match = line.match(/\A([A-Z]\w*):\s*(.*)\z/))
        heading = match[1]
        line = match[2]
      end
      found[heading] = [found[heading], line].join("\n")
    end
    found.transform_values!(&:strip)
    # The indentation of the first line went with strip; it does not matter below.
    found
  end

  # Lines `what   text`; a text that found no room stands on lines of its own, deeper.
  def pairs(text)
    text.lines(chomp: true).each_with_object([]) do |line, list|
      next if line.strip.empty?

      what, about = line.strip.split(/ {2,}/, 2)
      if line.match?(/\A {10,}/) && list.any? then list.last[1] = [list.last[1], line.strip].compact.join(' ')
      else list << [what, about]
      end
    end
  end

  def options_in(text)
    # Without a short form the line is indented by six columns: part of the option, not a text of its own.
    pairs(text.gsub(/^ {6}--/, '  --')).map do |what, about|
      match = what.match(/\A(?:-(\w)(?:, )?)?(?:--([\w-]+))?(?:[ =]?\[?=?<(.+?)>\]?.*)?\z/) or abort "cannot read the option #{what.inspect}"
      Option.new(match[1], match[2], match[3], about.to_s)
    end
  end
end

def words(option) = [("-#{option.short}" if option.short), ("--#{option.long}" if option.long)].compact

# Whether a value or an argument is a file; it is completed so.
def file?(name) = %w[FILE PATH].include?(name.to_s.delete('[]<>.'))

def bash(help)
  cases = help.verbs.map do |verb|
    taking = verb.options.select(&:value)
    files = taking.select { |o| file?(o.value) }.flat_map { |o| words(o) }
    others = taking.reject { |o| file?(o.value) }.flat_map { |o| words(o) }
    inner = []
    inner << "      #{files.join('|')}) COMPREPLY=($(compgen -f -- \"$current\")); return ;;" unless files.empty?
    inner << "      #{others.join('|')}) return ;;" unless others.empty?
    files_too = verb.arguments.any? { |name, _| file?(name) }
    <<~SH.gsub(/^/, '    ').rstrip
      #{verb.name})
        case $before in
      #{inner.join("\n")}
          *) ;;
        esac
        COMPREPLY=($(compgen -W "#{verb.options.flat_map { |o| words(o) }.join(' ')}" -- "$current"))
      #{files_too ? '  [[ $current == -* ]] || COMPREPLY=($(compgen -f -- "$current"))' : '  :'}
        ;;
    SH
  end
  <<~SH
    # Completion of standfast for bash.
    _standfast() {
      local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
      COMPREPLY=()
      if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "#{(help.verbs.map(&:name) + help.options.flat_map { |o| words(o) }).join(' ')}" -- "$current"))
        return
      fi
      case ${COMP_WORDS[1]} in
    #{cases.join("\n")}
      esac
    }
    complete -o filenames -F _standfast standfast
  SH
end

def quoted(text) = "'#{text.gsub("'", "'\\\\''")}'"

def zsh(help)
  describe = ->(text) { text.gsub(/[\[\]:]/) { |c| "\\#{c}" } }
  cases = help.verbs.map do |verb|
    lines = verb.options.flat_map do |option|
      words(option).map do |word|
        value = option.value ? ":#{option.value}:#{file?(option.value) ? '_files' : ''}" : ''
        quoted("#{word}[#{describe.call(option.text)}]#{value}")
      end
    end
    lines += verb.arguments.each_with_index.map do |(name, about), number|
      quoted("#{number + 1}:#{describe.call(about || name)}:#{file?(name) ? '_files' : ''}")
    end
    "    #{verb.name}) _arguments #{lines.join(" \\\n        ")} ;;"
  end
  <<~SH
    #compdef standfast
    _standfast() {
      local -a verbs
      verbs=(
    #{help.verbs.map { |v| "    #{quoted("#{v.name}:#{describe.call(v.summary.to_s)}")}" }.join("\n")}
      )
      if (( CURRENT == 2 )); then
        _describe verb verbs
        return
      fi
      local verb=$words[2]
      shift words
      (( CURRENT-- ))
      case $verb in
    #{cases.join("\n")}
      esac
    }
    _standfast "$@"
  SH
end

def fish(help)
  lines = ['# Completion of standfast for fish.', 'complete -c standfast -f']
  help.verbs.each do |verb|
    lines << "complete -c standfast -n __fish_use_subcommand -a #{verb.name} -d #{quoted(verb.summary.to_s)}"
    seen = "-n '__fish_seen_subcommand_from #{verb.name}'"
    verb.options.each do |option|
      forms = [("-s #{option.short}" if option.short), ("-l #{option.long}" if option.long)].compact.join(' ')
      value = option.value ? (file?(option.value) ? ' -r -F' : ' -x') : ''
      lines << "complete -c standfast #{seen} #{forms}#{value} -d #{quoted(option.text)}"
    end
    lines << "complete -c standfast #{seen} -F" if verb.arguments.any? { |name, _| file?(name) }
  end
  "#{lines.join("\n")}\n"
end

# mdoc: what begins a line with . or ' is not a request, - is a minus.
def prose(text)
  text.to_s.gsub('\\', '\\e').gsub(/(.{1,76})(?:\s+|\z)/, "\\1\n").strip.gsub(/^([.'])/, '\\\\&\1')
end

def option_macros(option)
  [(".Fl #{option.short}" if option.short), ("Fl Fl #{option.long}" if option.long)].compact.join(' , ').delete_prefix('.') +
    (option.value ? " Ar #{option.value.downcase}" : '')
end

def man(help)
  date = Time.at(ENV.fetch('SOURCE_DATE_EPOCH', Time.now.to_i).to_i).utc
  verbs = help.verbs.flat_map do |verb|
    options = verb.options.reject { |o| o.long == 'help' }
    synopsis = [".It Ic #{verb.name}", *options.map { |o| "Op #{option_macros(o)}" }, *verb.arguments.map do |name, _|
      name.start_with?('[') ? "Op Ar #{name.delete('[]<>.').downcase}" : "Ar #{name.delete('[]<>.').downcase}"
    end].join(' ')
    list = options.map { |o| [".It #{option_macros(o)}", prose(o.text)] } +
           verb.arguments.map { |name, about| [".It Ar #{name.delete('[]<>.').downcase}", prose(about)] }
    [synopsis, prose(verb.summary).sub(/[^.]\z/, '\\0.'), *(['.Bl -tag -width Ds', *list.flatten, '.El'] unless list.empty?)]
  end
  <<~MDOC
    .Dd #{date.strftime('%B %-d, %Y')}
    .Dt STANDFAST 1
    .Os
    .Sh NAME
    .Nm standfast
    .Nd the operator's command of standfastd
    .Sh SYNOPSIS
    .Nm
    .Ar verb
    .Op Ar options
    .Sh DESCRIPTION
    #{prose(help.summary)}.
    .Pp
    The verbs are:
    .Bl -tag -width Ds
    #{verbs.join("\n")}
    .El
    .Pp
    Agents are found by their control sockets in
    .Pa /run/standfast ,
    those of the own network namespace if nothing else is said.
    .Sh EXIT STATUS
    0 if all went well, 1 if not;
    .Ic check
    has codes of its own, see above.
    .Sh SEE ALSO
    .Xr standfastd.conf 5 ,
    .Xr standfastd 8
  MDOC
end

executable, form = ARGV
abort "Usage: #{$PROGRAM_NAME} EXECUTABLE bash|zsh|fish|man" unless %w[bash zsh fish man].include?(form)
puts send(form, Help.new(File.expand_path(executable)))
