# frozen_string_literal: true

# Renders a job's templates as BOSH does: real ERB, and an evaluation context of our own.
#
# A stand-in for the gem bosh-template, which is in no package that this machine can install: it follows the
# documented behaviour of p, if_p, link, if_link and spec, and of properties (only those that the job's spec
# names exist; nil counts as not given; defaults come from the spec).
#
# Usage as a command: render.rb JOB_DIRECTORY OUTPUT_DIRECTORY <input.json
#   input: {"properties": {...}, "spec": {...}, "links": {"peers": {"instances": [...], "properties": {...}}}}

require 'erb'
require 'fileutils'
require 'json'
require 'ostruct'
require 'yaml'

# What templates of BOSH jobs see.
module BoshRender
  class UnknownProperty < StandardError
    def initialize(names)
      super("Can't find property '#{names.join("', or '")}'")
    end
  end

  class UnknownLink < StandardError
    def initialize(name)
      super("Can't find link '#{name}'")
    end
  end

  # A template raised; the message names the template and its line as the director's does.
  class RenderError < StandardError; end

  # The value at a dotted name, or nil.
  def self.dig(tree, name)
    name.split('.').reduce(tree) { |node, key| node.is_a?(Hash) ? node[key] : nil }
  end

  # p and if_p over a tree of properties.
  module Properties
    def p(names, *default)
      names = Array(names)
      names.each do |name|
        value = BoshRender.dig(property_tree, name)
        return value unless value.nil?
      end
      raise UnknownProperty, names if default.empty?

      default.first
    end

    def if_p(*names)
      values = names.map { |name| BoshRender.dig(property_tree, name) }
      return Otherwise.new(self) if values.any?(&:nil?)

      yield(*values)
      Nothing.new
    end
  end

  # After an if_ whose condition did not hold.
  class Otherwise
    def initialize(context)
      @context = context
    end

    def else
      yield
    end

    def else_if_p(*names, &block) = @context.if_p(*names, &block)
    def else_if_link(name, &block) = @context.if_link(name, &block)
  end

  # After an if_ whose condition held.
  class Nothing
    def else; end
    def else_if_p(*) = self
    def else_if_link(*) = self
  end

  # A link, as `link` and `if_link` give it.
  class Link
    include Properties
    attr_reader :instances, :address

    def initialize(content)
      @content = content
      @instances = content['instances'].map { |i| OpenStruct.new(i) }
      @address = content['address']
    end

    def property_tree = @content['properties'] || {}
  end

  # The binding of a template.
  class Context
    include Properties
    attr_reader :spec, :name, :index

    def initialize(properties, spec, links)
      @properties = properties
      @spec = BoshRender.open(spec)
      @name = spec['name']
      @index = spec['index']
      @links = links
    end

    def property_tree = @properties
    def properties = BoshRender.open(@properties)

    def link(name)
      content = @links[name]
      raise UnknownLink, name unless content&.key?('instances')

      Link.new(content)
    end

    def if_link(name)
      return Otherwise.new(self) unless @links[name]&.key?('instances')

      yield link(name)
      Nothing.new
    end

    def the_binding = binding
  end

  def self.open(value)
    case value
    when Hash then OpenStruct.new(value.transform_values { |v| open(v) })
    when Array then value.map { |v| open(v) }
    else value
    end
  end

  # One job of the release.
  class Job
    attr_reader :directory, :spec

    def initialize(directory)
      @directory = directory
      @spec = YAML.safe_load_file(File.join(directory, 'spec'))
    end

    # What the director hands to templates: the properties that the spec names, with their defaults.
    def effective(given)
      (@spec['properties'] || {}).each_with_object({}) do |(name, definition), tree|
        value = BoshRender.dig(given, name)
        value = definition['default'] if value.nil?
        *path, last = name.split('.')
        path.reduce(tree) { |node, key| node[key] ||= {} }[last] = value
      end
    end

    # Destination => text of all templates.
    def render(properties: {}, spec: {}, links: {})
      instance = {
        'name' => 'haproxy', 'deployment' => 'lb', 'index' => 0, 'id' => 'id-0', 'az' => 'z1', 'bootstrap' => true,
        'ip' => '10.0.0.1', 'address' => '10.0.0.1', 'networks' => { 'default' => { 'ip' => '10.0.0.1' } }
      }.merge(spec)
      consumed = (@spec['consumes'] || []).map { |c| c['name'] }
      unknown = links.keys - consumed
      raise ArgumentError, "the job consumes no link #{unknown.join(', ')}" unless unknown.empty?

      context = Context.new(effective(properties), instance, links)
      @spec['templates'].to_h do |source, destination|
        path = File.join(@directory, 'templates', source)
        erb = ERB.new(File.read(path), trim_mode: '-')
        erb.filename = path
        [destination, erb.result(context.the_binding)]
      rescue StandardError, SyntaxError => e
        line = e.backtrace.to_a.grep(/#{Regexp.escape(path)}:(\d+)/) { Regexp.last_match(1) }.first || '?'
        raise RenderError, "Error filling in template '#{source}' (line #{line}: #{e.message})"
      end
    end

    # Writes the rendered job as the BOSH agent lays it out.
    def install(directory, **inputs)
      render(**inputs).each do |destination, text|
        path = File.join(directory, destination)
        FileUtils.mkdir_p(File.dirname(path))
        File.write(path, text)
        File.chmod(destination.start_with?('bin/') ? 0o755 : 0o644, path)
      end
    end
  end
end

if $PROGRAM_NAME == __FILE__
  job, output = ARGV
  abort "Usage: #{$PROGRAM_NAME} JOB_DIRECTORY OUTPUT_DIRECTORY <input.json" unless output
  input = JSON.parse($stdin.read)
  begin
    BoshRender::Job.new(job).install(output, properties: input['properties'] || {}, spec: input['spec'] || {},
                                             links: input['links'] || {})
  rescue BoshRender::RenderError => e
    abort e.message
  end
end
